"""Where chat answers end."""

from __future__ import annotations

from rbee.conformance.checks import Check, NotAskedError, require
from rbee.conformance.subject import Subject
from rbee.conformance.worker.asking import HELLO, chat, choices_of, chunks_of, said
from rbee.contract.types import Capability

_PATH = "/v1/chat/completions"
_CHAT = frozenset({Capability.CHAT})
_LIMIT = 3


async def _max_tokens(subject: Subject) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        body = {**subject.chat(HELLO, max_tokens=None), name: _LIMIT}
        told = await chat(subject, body)
        longer = await chat(subject, {**body, name: _LIMIT * 8})
        require(
            told.usage.completion_tokens <= _LIMIT,
            f"{told.usage.completion_tokens} tokens came for {name} {_LIMIT}",
        )
        cut = longer.choices[0].message.content != told.choices[0].message.content
        require(
            not cut or told.choices[0].finish_reason == "length",
            f"{name} {_LIMIT} cut the answer, but finish_reason is {told.choices[0].finish_reason!r}",
        )
        ends = [
            one["finish_reason"]
            for one in choices_of(await chunks_of(subject, _PATH, body))
            if one.get("finish_reason")
        ]
        require(not cut or ends[-1:] == ["length"], f"streamed, {name} {_LIMIT} gave finish_reason {ends[-1:]}")


async def _stop(subject: Subject) -> None:
    body = subject.chat(HELLO, max_tokens=48)
    first, second = [str((await chat(subject, body)).choices[0].message.content) for _ in range(2)]
    stop = first[len(first) // 2 :].strip()[:6]
    if first != second or len(first) < 8 or not stop:
        raise NotAskedError("the answer is too short, or not the same twice, to be stopped in the middle")
    cut = first[: first.index(stop)]
    for given in (stop, [stop, "\x00never"]):
        told = (await chat(subject, {**body, "stop": given})).choices[0]
        require(told.message.content == cut, f"stopped before {stop!r} came {told.message.content!r}, not {cut!r}")
        require(told.finish_reason == "stop", f"finish_reason is {told.finish_reason!r} behind a stop string")
        streamed = said(await chunks_of(subject, _PATH, {**body, "stop": given}))
        require(streamed == cut, f"streamed and stopped before {stop!r} came {streamed!r}, not {cut!r}")


CHECKS = (
    Check(
        id="W-CHAT-7",
        promise="A chat keeps max_tokens and max_completion_tokens, and says length when they cut it.",
        run=_max_tokens,
        needs=_CHAT,
    ),
    Check(
        id="W-CHAT-8",
        promise="A chat ends before a stop string, one or several, whole and streamed.",
        run=_stop,
        needs=_CHAT,
    ),
)
