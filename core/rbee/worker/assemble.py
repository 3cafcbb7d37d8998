"""A whole answer out of a stream, for engines that do not notice when the client of a whole answer leaves.

Shapes: OpenAI's chat completions and completions, as chunks and as objects.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import MappingProxyType
from typing import Any

import msgspec

from rbee.clients.sse import decode
from rbee.contract.errors import WorkerFailedError
from rbee.worker.several import timed_together, together

_OBJECTS = MappingProxyType({"/v1/chat/completions": "chat.completion", "/v1/completions": "text_completion"})


def as_stream(path: str, body: dict[str, Any]) -> dict[str, Any] | None:
    """The request for a stream that carries the same answer; None where a stream would carry less.

    Log probabilities come in other shapes when streamed, and are left to the engine.
    """
    if path not in _OBJECTS or body.get("logprobs") or body.get("best_of"):
        return None
    return {**body, "stream": True, "stream_options": {"include_usage": True}}


async def assemble(path: str, chunks: AsyncIterator[bytes], n: int = 1) -> dict[str, Any]:
    """The whole answer.

    Args:
        path: of the route.
        chunks: of the stream.
        n: answers to each prompt.

    Raises:
        WorkerFailedError: the stream carries an error, or ends before the answer does.
    """
    answer: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    usages: list[dict[str, Any]] = []
    timings: list[dict[str, Any]] = []
    async for event in decode(chunks):
        if event.data == "[DONE]":
            break
        chunk = msgspec.json.decode(event.data)
        if chunk is None:
            # llama-server begins so when it is asked for several answers.
            continue
        if "error" in chunk:
            raise WorkerFailedError(_message(chunk["error"]))
        for choice in chunk.pop("choices", ()):
            _take(choices.setdefault(choice.get("index", 0), {}), choice)
        chunk.pop("prompt_progress", None)
        usages += [usage] if (usage := chunk.get("usage")) else []
        timings += [timed] if (timed := chunk.get("timings")) else []
        answer.update({name: value for name, value in chunk.items() if value is not None})
    if not choices or any(choice.get("finish_reason") is None for choice in choices.values()):
        raise WorkerFailedError("The engine ended its answer without a reason.")
    whole = [choices[index] for index in sorted(choices)]
    if len(usages) == len(whole) > 1:
        answer["usage"] = together(usages, n)
        if timings:
            answer["timings"] = timed_together(timings, n)
    return {**answer, "choices": whole, "object": _OBJECTS[path]}


def _take(choice: dict[str, Any], piece: dict[str, Any]) -> None:
    for name, value in piece.items():
        if name == "delta":
            _merge(choice.setdefault("message", {"role": "assistant", "content": None}), value or {})
        elif name == "text":
            choice["text"] = choice.get("text", "") + (value or "")
        elif value is not None or name not in choice:
            choice[name] = value


def _merge(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for name, value in delta.items():
        if name == "tool_calls":
            _merge_calls(message.setdefault("tool_calls", []), value or ())
        elif isinstance(value, str) and name != "role":
            message[name] = (message.get(name) or "") + value
        elif value is not None:
            message[name] = value


def _merge_calls(calls: list[dict[str, Any]], pieces: Any) -> None:
    for piece in pieces:
        index = piece.get("index", 0)
        while len(calls) <= index:
            calls.append({"type": "function", "function": {"name": "", "arguments": ""}, "id": None})
        call = calls[index]
        function = piece.get("function") or {}
        call["function"]["name"] += function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""
        call["type"] = piece.get("type") or call["type"]
        call["id"] = piece.get("id") or call["id"]


def _message(error: Any) -> str:
    return str(error.get("message", error)) if isinstance(error, dict) else str(error)
