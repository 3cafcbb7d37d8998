"""``POST /v1/chat/completions``: the shapes of answers."""

from __future__ import annotations

from typing import Any

from rbee.conformance.checks import Check, NotAskedError, require
from rbee.conformance.client import shaped
from rbee.conformance.subject import Subject
from rbee.conformance.worker.asking import DONE, HELLO, chat, choices_of, chunks_of, events_of, said, usage_of
from rbee.contract.types import Capability
from rbee.contract.wire.openai_api import ChatChunk, OpenAiErrorEnvelope, OpenAiUsage

_PATH = "/v1/chat/completions"
_CHAT = frozenset({Capability.CHAT})
_MANY = 2


async def _whole(subject: Subject) -> None:
    told = await chat(subject, subject.chat(HELLO))
    require([one.index for one in told.choices] == [0], f"the choices are {[one.index for one in told.choices]}")
    message = told.choices[0].message
    require(isinstance(message.content, str), f"the message's content is {message.content!r}")
    require(told.id and told.model, "id or model is empty")
    require(told.choices[0].finish_reason in {"stop", "length"}, f"finish_reason: {told.choices[0].finish_reason!r}")


async def _stream(subject: Subject) -> None:
    body = subject.chat(HELLO, stream=True)
    async with subject.http.stream(_PATH, body) as stream:
        kind = stream.headers.get("content-type", "")
        require(kind.startswith("text/event-stream"), f"the content-type of a stream is {kind!r}")
        events: list[Any] = [event async for event in stream.events()]
    require(events and events[-1] == DONE, f"the stream ends with {str(events[-1:])[:120]}, not with [DONE]")
    require(events.count(DONE) == 1, "[DONE] came more than once")
    raw = events[:-1]
    chunks = [shaped({**one, "usage": None}, ChatChunk, f"POST {_PATH}, streamed") for one in raw]
    require(len({one.id for one in chunks}) == 1, "the chunks have several ids")
    choices = [choice for chunk in chunks for choice in chunk.choices]
    require(choices, "no chunk has a choice")
    require(choices[0].delta.role == "assistant", f"the first delta has the role {choices[0].delta.role!r}")
    ends = [one.finish_reason for one in choices if one.finish_reason is not None]
    require(len(ends) == 1, f"finish_reason stands in {len(ends)} chunks: {ends}")
    require(choices[-1].finish_reason is not None, "a chunk with a choice came behind finish_reason")


async def _same(subject: Subject) -> None:
    body = subject.chat(HELLO)
    first, second = [(await chat(subject, body)).choices[0].message.content for _ in range(2)]
    if first != second:
        raise NotAskedError("the model does not say the same twice at temperature 0")
    streamed = said(await chunks_of(subject, _PATH, body))
    require(streamed == first, f"streamed came {streamed[:100]!r}, whole {str(first)[:100]!r}")


async def _include_usage(subject: Subject) -> None:
    with_usage = subject.chat(HELLO, stream_options={"include_usage": True})
    chunks = [one for one in await events_of(subject, _PATH, with_usage) if isinstance(one, dict)]
    told = [one for one in chunks if one.get("usage")]
    require(len(told) == 1, f"usage stands in {len(told)} chunks of a stream with include_usage")
    require(told[0] is chunks[-1], "usage stands in another chunk than the last one")
    require(told[0].get("choices") == [], f"the chunk with usage has the choices {told[0].get('choices')!r}")
    shaped(told[0]["usage"], OpenAiUsage, "usage")
    plain = await chunks_of(subject, _PATH, subject.chat(HELLO))
    require(not any(one.get("usage") for one in plain), "a stream tells usage that nobody asked for")


async def _n(subject: Subject) -> None:
    answer = await subject.http.ask("POST", _PATH, subject.chat(HELLO, n=_MANY))
    if answer.status == 400:
        error = answer.read(OpenAiErrorEnvelope, status=400).error
        require(error.param == "n", f"{answer} for n {_MANY}: param is {error.param!r}, not 'n'")
        return
    told = await chat(subject, subject.chat(HELLO, n=_MANY))
    found = sorted(one.index for one in told.choices)
    require(found == list(range(_MANY)), f"n {_MANY} gave the choices {found}, and was not refused")
    streamed = choices_of(await chunks_of(subject, _PATH, subject.chat(HELLO, n=_MANY)))
    ends = sorted(int(one.get("index", -1)) for one in streamed if one.get("finish_reason"))
    require(ends == list(range(_MANY)), f"streamed, n {_MANY} ended the choices {ends}")


async def _numbers(subject: Subject) -> None:
    body = subject.chat(HELLO)
    whole = await chat(subject, body)
    for told, where in (
        (whole.usage, "whole"),
        (
            shaped(
                usage_of(await chunks_of(subject, _PATH, {**body, "stream_options": {"include_usage": True}})),
                OpenAiUsage,
                "usage",
            ),
            "streamed",
        ),
    ):
        sum_of = told.prompt_tokens + told.completion_tokens
        require(told.total_tokens == sum_of, f"{where}: total_tokens is {told.total_tokens}, not {sum_of}")
        require(told.prompt_tokens >= 1, f"{where}: prompt_tokens is {told.prompt_tokens}")
        require(
            told.completion_tokens >= 1 or not whole.choices[0].message.content,
            f"{where}: completion_tokens is {told.completion_tokens}",
        )
        require(
            whole.choices[0].finish_reason != "length" or told.completion_tokens == body["max_tokens"],
            f"{where}: completion_tokens is {told.completion_tokens} after max_tokens {body['max_tokens']} cut it",
        )


CHECKS = (
    Check(
        id="W-CHAT-1",
        promise="A whole chat answer has OpenAI's shape, with one choice of the assistant's.",
        run=_whole,
        needs=_CHAT,
    ),
    Check(
        id="W-CHAT-2",
        promise="A chat stream has one id, the role first, one finish_reason, and [DONE] last.",
        run=_stream,
        needs=_CHAT,
    ),
    Check(id="W-CHAT-3", promise="Streamed chat text is that of the whole answer.", run=_same, needs=_CHAT),
    Check(
        id="W-CHAT-4",
        promise="A chat stream tells usage in a last chunk without choices, where asked to, and else not at all.",
        run=_include_usage,
        needs=_CHAT,
    ),
    Check(
        id="W-CHAT-5",
        promise="n gives so many choices, or is refused with 400 and param n.",
        run=_n,
        needs=_CHAT,
    ),
    Check(
        id="W-CHAT-6",
        promise="Figures of usage are true: the total is the sum, and a cut answer has max_tokens tokens.",
        run=_numbers,
        needs=_CHAT,
    ),
)
