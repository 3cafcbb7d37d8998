"""Probabilities of tokens, where declared."""

from __future__ import annotations

from collections.abc import Sequence

from rbee.conformance.checks import Check, require
from rbee.conformance.client import shaped
from rbee.conformance.subject import Subject
from rbee.conformance.worker.asking import HELLO, chat, choices_of, chunks_of, said
from rbee.contract.types import Capability
from rbee.contract.wire.openai_api import ChatLogprobs, TokenLogprob

_NEEDS = frozenset({Capability.LOGPROBS})
_TOP = 2
_SLACK = 1e-6
"""A probability of 1 may come out of float32 a little above it."""


def _look(tokens: Sequence[TokenLogprob], text: str, where: str) -> None:
    require(tokens, f"{where}: logprobs have no tokens")
    for one in tokens:
        require(one.logprob <= _SLACK, f"{where}: the logprob of {one.token!r} is {one.logprob}, above 0")
        require(
            len(one.top_logprobs) == _TOP,
            f"{where}: {len(one.top_logprobs)} top_logprobs of {one.token!r} came for {_TOP}",
        )
        best = max(found.logprob for found in one.top_logprobs)
        require(one.logprob <= best + 1e-3, f"{where}: {one.token!r} is likelier than the likeliest")
    if all(one.bytes is not None for one in tokens):
        raw = b"".join(bytes(one.bytes or ()) for one in tokens)
        require(text.encode() in raw, f"{where}: the tokens' bytes are {raw[:80]!r}, the text is {text[:80]!r}")


async def _whole(subject: Subject) -> None:
    told = (await chat(subject, subject.chat(HELLO, logprobs=True, top_logprobs=_TOP))).choices[0]
    found = told.logprobs.content if told.logprobs is not None else None
    require(found is not None, "the answer has no logprobs")
    _look(found or (), told.message.content or "", "whole")


async def _stream(subject: Subject) -> None:
    body = subject.chat(HELLO, logprobs=True, top_logprobs=_TOP)
    chunks = await chunks_of(subject, "/v1/chat/completions", body)
    tokens: list[TokenLogprob] = []
    for choice in choices_of(chunks):
        if choice.get("logprobs"):
            tokens.extend(shaped(choice["logprobs"], ChatLogprobs, "logprobs").content or ())
    _look(tokens, said(chunks), "streamed")


CHECKS = (
    Check(
        id="W-LOGPROBS-1",
        promise="logprobs come for every token, at most 0, with as many top_logprobs as asked for.",
        run=_whole,
        needs=_NEEDS,
    ),
    Check(id="W-LOGPROBS-2", promise="They come in a stream as well.", run=_stream, needs=_NEEDS),
)
