"""What the chat route refuses: bad input, and what the worker does not do."""

from __future__ import annotations

from typing import Any

from rbee.conformance.checks import Check, NotAskedError, require
from rbee.conformance.client import Answer
from rbee.conformance.subject import Subject
from rbee.conformance.worker.asking import HELLO
from rbee.conformance.worker.samples import schema_format, tool
from rbee.contract.types import Capability
from rbee.contract.wire.openai_api import OpenAiErrorEnvelope

_PATH = "/v1/chat/completions"
_CHAT = frozenset({Capability.CHAT})
_CODE = "invalid_request"

_BAD: tuple[tuple[str, dict[str, Any]], ...] = (
    ("messages", {"messages": None}),
    ("messages", {"messages": []}),
    ("messages", {"messages": "Hello."}),
    ("messages", {"messages": [{"content": "Hello."}]}),
    ("max_tokens", {"max_tokens": "many"}),
    ("temperature", {"temperature": "hot"}),
    ("top_p", {"top_p": "all"}),
    ("stop", {"stop": {"at": "the end"}}),
    ("stream", {"stream": "perhaps"}),
)
"""Of which parameter the error has to speak, and what is sent besides a good chat."""


def _refused(answer: Answer, params: tuple[str, ...], sent: Any) -> None:
    error = answer.read(OpenAiErrorEnvelope, status=400).error
    param = error.param or ""
    require(
        any(param == one or param.startswith((f"{one}.", f"{one}[")) for one in params),
        f"{answer} for {sent}; param is {error.param!r}, not {' or '.join(map(repr, params))}",
    )


async def _bad(subject: Subject) -> None:
    for param, more in _BAD:
        answer = await subject.http.ask("POST", _PATH, {**subject.chat(HELLO), **more})
        _refused(answer, (param,), more)
    for raw in (b"[", b"[]", b'"text"', b"\xff"):
        answer = await subject.http.ask("POST", _PATH, raw)
        error = answer.read(OpenAiErrorEnvelope, status=400).error
        require(error.type == "invalid_request_error", f"{answer}: type is {error.type!r}")


async def _not_offered(subject: Subject) -> None:
    undeclared: list[tuple[Capability, tuple[str, ...], dict[str, Any]]] = [
        (Capability.TOOLS, ("tools", "tool_choice"), {"tools": [tool()], "tool_choice": "required"}),
        (Capability.JSON_SCHEMA, ("response_format",), {"response_format": schema_format()}),
        (Capability.LOGPROBS, ("logprobs", "top_logprobs"), {"logprobs": True, "top_logprobs": 2}),
    ]
    left = [one for one in undeclared if not subject.can(one[0])]
    if not left:
        raise NotAskedError("the worker declares tools, json_schema and logprobs")
    for capability, params, more in left:
        answer = await subject.http.ask("POST", _PATH, subject.chat(HELLO, **more))
        require(
            answer.status == 400,
            f"{answer} to {params[0]!r}, though the worker does not declare {capability!r}; 400 was expected",
        )
        _refused(answer, params, more)


async def _audio(subject: Subject) -> None:
    more = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
    answer = await subject.http.ask("POST", _PATH, subject.chat(HELLO, **more))
    if answer.status == 200:
        message = answer.json()["choices"][0]["message"]
        require(message.get("audio"), "modalities with audio were taken, and no audio came")
        return
    _refused(answer, ("modalities", "audio"), more)


CHECKS = (
    Check(
        id="W-PARAM-1",
        promise="The chat route refuses bad input with 400, OpenAI's envelope, and param.",
        run=_bad,
        needs=_CHAT,
    ),
    Check(
        id="W-PARAM-2",
        promise="Tools, schemas and logprobs are refused by name where they are not declared, not dropped.",
        run=_not_offered,
        needs=_CHAT,
    ),
    Check(
        id="W-PARAM-3",
        promise="Audio is spoken or refused by name, not dropped.",
        run=_audio,
        needs=_CHAT,
    ),
)
