"""Calls of tools, where declared."""

from __future__ import annotations

import json

from rbee.conformance.checks import BrokenPromiseError, Check, require
from rbee.conformance.client import shaped
from rbee.conformance.subject import Subject
from rbee.conformance.worker.asking import chat, choices_of, chunks_of
from rbee.conformance.worker.samples import TOOL_NAME, City, tool
from rbee.contract.types import Capability
from rbee.contract.wire.openai_api import ChatDelta, ChatToolCall, FunctionCall

_NEEDS = frozenset({Capability.TOOLS})
_ASK = "What is the weather in Paris?"
_TOKENS = 256


def _look(calls: list[ChatToolCall], finish: str | None, where: str) -> None:
    require(calls, f"{where}: tool_choice 'required' gave no tool_calls")
    for call in calls:
        require(call.id and call.type == "function", f"{where}: a call has the id {call.id!r}, the type {call.type!r}")
        require(call.function.name == TOOL_NAME, f"{where}: the tool {call.function.name!r} was called")
        try:
            shaped(json.loads(call.function.arguments or ""), City, f"{where}: arguments")
        except ValueError:
            raise BrokenPromiseError(f"{where}: the arguments {call.function.arguments!r} are no JSON") from None
    # OpenAI itself says stop where a call was forced.
    require(finish in {"tool_calls", "stop"}, f"{where}: finish_reason is {finish!r} behind a call")


async def _whole(subject: Subject) -> None:
    body = subject.chat(_ASK, tools=[tool()], tool_choice="required", max_tokens=_TOKENS)
    told = (await chat(subject, body)).choices[0]
    _look(told.message.tool_calls or [], told.finish_reason, "whole")


async def _stream(subject: Subject) -> None:
    body = subject.chat(_ASK, tools=[tool()], tool_choice="required", max_tokens=_TOKENS)
    parts: dict[int, list[ChatToolCall]] = {}
    finish: str | None = None
    for choice in choices_of(await chunks_of(subject, "/v1/chat/completions", body)):
        finish = choice.get("finish_reason") or finish
        for part in shaped(choice.get("delta") or {}, ChatDelta, "delta").tool_calls or ():
            require(part.index is not None, "streamed: a part of a call has no index")
            parts.setdefault(part.index or 0, []).append(part)
    calls = []
    for _, some in sorted(parts.items()):
        require(some[0].id and some[0].function.name, "streamed: the first part of a call has no id or no name")
        arguments = "".join(one.function.arguments or "" for one in some)
        function = FunctionCall(name=some[0].function.name, arguments=arguments)
        calls.append(ChatToolCall(id=some[0].id, type=some[0].type, function=function))
    _look(calls, finish, "streamed")


async def _none(subject: Subject) -> None:
    told = (await chat(subject, subject.chat(_ASK, tools=[tool()], tool_choice="none"))).choices[0]
    require(not told.message.tool_calls, "tool_choice 'none' gave tool_calls")


CHECKS = (
    Check(
        id="W-TOOLS-1",
        promise="tool_choice required gives a call of a given tool, with JSON that fits as arguments.",
        run=_whole,
        needs=_NEEDS,
    ),
    Check(
        id="W-TOOLS-2",
        promise="A streamed call comes in parts with an index, the id and name first, and adds up to the same.",
        run=_stream,
        needs=_NEEDS,
    ),
    Check(id="W-TOOLS-3", promise="tool_choice none gives no call.", run=_none, needs=_NEEDS),
)
