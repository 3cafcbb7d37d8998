"""Answers held to a JSON schema, where declared."""

from __future__ import annotations

import msgspec

from rbee.conformance.checks import BrokenPromiseError, Check, NotAskedError, require
from rbee.conformance.client import shaped
from rbee.conformance.subject import Subject
from rbee.conformance.worker.asking import chat, choices_of, chunks_of, said
from rbee.conformance.worker.samples import KINDS, Person, schema_format
from rbee.contract.types import Capability

_NEEDS = frozenset({Capability.JSON_SCHEMA})
_ASK = "Describe a person in JSON."
_TOKENS = 256


def _look(text: str, finish: str | None, where: str) -> None:
    if finish == "length":
        raise NotAskedError(f"{where}: the answer was cut after {_TOKENS} tokens")
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        raise BrokenPromiseError(f"{where}: {text[:120]!r} is no JSON") from None
    person = shaped(value, Person, f"{where}: {text[:120]!r} does not fit the schema")
    require(person.kind in KINDS, f"{where}: kind is {person.kind!r}, which the schema's enum has not")


async def _whole(subject: Subject) -> None:
    told = (await chat(subject, subject.chat(_ASK, response_format=schema_format(), max_tokens=_TOKENS))).choices[0]
    _look(told.message.content or "", told.finish_reason, "whole")


async def _stream(subject: Subject) -> None:
    body = subject.chat(_ASK, response_format=schema_format(), max_tokens=_TOKENS)
    chunks = await chunks_of(subject, "/v1/chat/completions", body)
    ends = [one["finish_reason"] for one in choices_of(chunks) if one.get("finish_reason")]
    _look(said(chunks), ends[-1] if ends else None, "streamed")


CHECKS = (
    Check(
        id="W-JSON-1",
        promise="With response_format json_schema the answer is JSON that fits the schema.",
        run=_whole,
        needs=_NEEDS,
    ),
    Check(id="W-JSON-2", promise="So it is in a stream.", run=_stream, needs=_NEEDS),
)
