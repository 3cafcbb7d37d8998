"""``POST /v1/infer``: whole answers, and what is refused."""

from __future__ import annotations

from typing import Any

from rbee.conformance.checks import ANSWERS, Check, NotAskedError, require
from rbee.conformance.subject import Subject
from rbee.conformance.worker.asking import HELLO, PLAIN_END, end_of, events_of, steady, text_of, whole_infer
from rbee.contract.types import Capability
from rbee.contract.wire.worker_api import ErrorEnvelope

_LIMIT = 3

_BAD: tuple[tuple[str, dict[str, Any]], ...] = (
    ("prompt", {"prompt": None}),
    ("prompt", {"prompt": 5}),
    ("prompt", {"messages": [{"role": "user", "content": "Hello."}]}),
    ("max_tokens", {"max_tokens": 0}),
    ("max_tokens", {"max_tokens": "many"}),
    ("temperature", {"temperature": -1}),
    ("temperature", {"temperature": "hot"}),
    ("top_p", {"top_p": 1.5}),
    ("top_k", {"top_k": -1}),
    ("stop", {"stop": [""]}),
    ("stream", {"stream": "perhaps"}),
)
"""Of which field the message has to speak, and what is sent besides a good prompt."""


async def _whole(subject: Subject) -> None:
    told = await whole_infer(subject, subject.infer(HELLO))
    require(told.stop_reason in PLAIN_END, f"stop_reason is {told.stop_reason!r}; one of {sorted(PLAIN_END)} is meant")
    require(told.duration_ms >= 0, f"duration_ms is {told.duration_ms}")
    require(told.tokens_generated is None or told.tokens_generated >= 0, f"tokens_generated is {told.tokens_generated}")


async def _max_tokens(subject: Subject) -> None:
    told = await whole_infer(subject, subject.long_infer(max_tokens=_LIMIT))
    if told.tokens_generated is not None:
        require(told.tokens_generated <= _LIMIT, f"{told.tokens_generated} tokens came for max_tokens {_LIMIT}")
        if told.tokens_generated < _LIMIT:
            require(told.stop_reason == "EOS", f"stop_reason is {told.stop_reason!r} for less than max_tokens")
    longer = await whole_infer(subject, subject.long_infer(max_tokens=_LIMIT * 8))
    require(
        told.text != longer.text or longer.stop_reason == "EOS",
        f"max_tokens {_LIMIT} and {_LIMIT * 8} give the same {len(told.text)} characters",
    )


async def _stop(subject: Subject) -> None:
    body = subject.infer(HELLO, max_tokens=48)
    free = (await steady(subject, body)).text
    stop = free[len(free) // 2 :].strip()[:6]
    if len(free) < 8 or not stop:
        raise NotAskedError("the answer is too short to be stopped in the middle")
    cut = free[: free.index(stop)]
    told = await whole_infer(subject, {**body, "stop": [stop]})
    require(stop not in told.text, f"the answer {told.text!r} has the stop string {stop!r}")
    require(told.text == cut, f"stopped before {stop!r} the answer is {told.text!r}, not {cut!r}")
    streamed = text_of(events := await events_of(subject, "/v1/infer", {**body, "stop": [stop]}))
    require(streamed == cut, f"streamed and stopped before {stop!r} the answer is {streamed!r}, not {cut!r}")
    reason = end_of(events).get("stop_reason")
    # A server that does not tell a stop string from an end of text says EOS for both.
    require(reason in {"STOP_SEQUENCE", "EOS"}, f"stop_reason is {reason!r} behind a stop string")


async def _messages(subject: Subject) -> None:
    body = subject.infer(HELLO)
    asked = await steady(subject, body)
    del body["prompt"]
    told = await whole_infer(subject, {**body, "messages": [{"role": "user", "content": HELLO}]})
    require(told.text == asked.text, f"as a message {told.text!r} came, as a prompt {asked.text!r}")


async def _bad(subject: Subject) -> None:
    for field, more in _BAD:
        answer = await subject.http.ask("POST", "/v1/infer", {**subject.infer(HELLO), "stream": False, **more})
        error = answer.read(ErrorEnvelope, status=400).error
        require(error.code == "INVALID_REQUEST", f"{answer} for {more}; INVALID_REQUEST was expected")
        require(field in error.message, f"{answer} for {more}; the message does not name {field!r}")
    for raw in (b"[", b"[]", b'"text"', b"\xff"):
        (await subject.http.ask("POST", "/v1/infer", raw)).read(ErrorEnvelope, status=400)


async def _unknown(subject: Subject) -> None:
    answer = await subject.http.ask("POST", "/v1/infer", subject.infer(HELLO, stream=False, temprature=1))
    error = answer.read(ErrorEnvelope, status=400).error
    require("temprature" in error.message, f"{answer}; the message does not name 'temprature'")


CHECKS = (
    Check(
        id="W-INFER-1",
        promise="A whole answer of /v1/infer has its text, figures, and a known stop_reason.",
        run=_whole,
        needs=ANSWERS,
    ),
    Check(id="W-INFER-2", promise="/v1/infer keeps max_tokens.", run=_max_tokens, needs=ANSWERS),
    Check(
        id="W-INFER-3",
        promise="/v1/infer ends an answer before a stop string, whole and streamed.",
        run=_stop,
        needs=ANSWERS,
    ),
    Check(
        id="W-INFER-4",
        promise="A prompt to a chat model is the same as one message of the user.",
        run=_messages,
        needs=frozenset({Capability.CHAT}),
    ),
    Check(
        id="W-INFER-5",
        promise="/v1/infer refuses bad input with 400, its envelope, and the name of the field.",
        run=_bad,
        needs=ANSWERS,
    ),
    Check(
        id="W-INFER-6",
        promise="/v1/infer refuses a field that it does not know with 400 instead of dropping it.",
        run=_unknown,
        needs=ANSWERS,
    ),
)
