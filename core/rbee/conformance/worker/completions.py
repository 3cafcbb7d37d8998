"""``POST /v1/completions``."""

from __future__ import annotations

from rbee.conformance.checks import Check, require
from rbee.conformance.client import shaped
from rbee.conformance.subject import Subject
from rbee.conformance.worker.asking import DONE, HELLO, completion, events_of, said
from rbee.contract.types import Capability
from rbee.contract.wire.openai_api import CompletionAnswer, OpenAiErrorEnvelope

_PATH = "/v1/completions"
_NEEDS = frozenset({Capability.COMPLETIONS})
_LIMIT = 3


async def _whole(subject: Subject) -> None:
    told = await completion(subject, subject.completion(HELLO))
    require([one.index for one in told.choices] == [0], f"the choices are {[one.index for one in told.choices]}")
    require(told.choices[0].finish_reason in {"stop", "length"}, f"finish_reason: {told.choices[0].finish_reason!r}")
    require(told.usage is not None, "a whole answer tells no usage")


async def _stream(subject: Subject) -> None:
    body = subject.completion(HELLO)
    first = (await completion(subject, body)).choices[0].text
    second = (await completion(subject, body)).choices[0].text
    events = await events_of(subject, _PATH, body)
    require(events[-1:] == [DONE], f"the stream ends with {str(events[-1:])[:120]}, not with [DONE]")
    chunks = [shaped({**one, "usage": None}, CompletionAnswer, f"POST {_PATH}, streamed") for one in events[:-1]]
    ends = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    require(len(ends) == 1, f"finish_reason stands in {len(ends)} chunks: {ends}")
    streamed = said(events[:-1])
    require(first != second or streamed == first, f"streamed came {streamed[:100]!r}, whole {first[:100]!r}")


async def _limits(subject: Subject) -> None:
    told = await completion(subject, subject.completion(HELLO, max_tokens=_LIMIT))
    if told.usage is not None:
        tokens = told.usage.completion_tokens
        require(tokens <= _LIMIT, f"{tokens} tokens came for max_tokens {_LIMIT}")
        sum_of = told.usage.prompt_tokens + tokens
        require(told.usage.total_tokens == sum_of, f"total_tokens is {told.usage.total_tokens}, not {sum_of}")
    answer = await subject.http.ask("POST", _PATH, subject.completion(HELLO, max_tokens="many"))
    error = answer.read(OpenAiErrorEnvelope, status=400).error
    require(error.param == "max_tokens", f"{answer}: param is {error.param!r}, not 'max_tokens'")


CHECKS = (
    Check(id="W-TEXT-1", promise="A whole completion has OpenAI's shape, with usage.", run=_whole, needs=_NEEDS),
    Check(
        id="W-TEXT-2",
        promise="A streamed completion ends with one finish_reason and [DONE]; its text is that of the whole one.",
        run=_stream,
        needs=_NEEDS,
    ),
    Check(
        id="W-TEXT-3",
        promise="A completion keeps max_tokens, counts truly, and refuses bad input with 400 and param.",
        run=_limits,
        needs=_NEEDS,
    ),
)
