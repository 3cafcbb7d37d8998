"""From an answer of a chat to one of the Responses API.

Events: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import msgspec

from rbee.doors.chat import Ending, ToolCall, Usage, Whole
from rbee.doors.refusal import Refusal
from rbee.doors.responses.requests import ResponsesRequest
from rbee.doors.writing import Writer

Json = dict[str, Any]

_encode = msgspec.json.Encoder().encode

_CUTS: Mapping[str, str] = MappingProxyType({"length": "max_output_tokens", "content_filter": "content_filter"})


class Frame:
    """What stands around each answer to a request.

    Args:
        request: as it came.
        answer_id: from which the answer and its items have their ids.
        created: Unix time in seconds.
    """

    def __init__(self, request: ResponsesRequest, answer_id: str, created: int) -> None:
        self.answer_id = answer_id
        self._fields: Json = {
            "id": f"resp_{answer_id}",
            "object": "response",
            "created_at": created,
            "background": False,
            "instructions": request.instructions,
            "max_output_tokens": request.max_output_tokens,
            "metadata": request.metadata,
            "model": request.model,
            "parallel_tool_calls": request.parallel_tool_calls is not False,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "service_tier": "default",
            "store": False,
            "temperature": request.temperature,
            "text": {"format": _format_told(request)},
            "tool_choice": "auto" if request.tool_choice is None else msgspec.to_builtins(request.tool_choice),
            "tools": [msgspec.to_builtins(tool) for tool in request.tools],
            "top_p": request.top_p,
            "truncation": "disabled",
            "user": request.user,
        }

    def response(
        self,
        status: str,
        output: list[Json],
        *,
        usage: Usage | None = None,
        cut: str | None = None,
        error: Json | None = None,
    ) -> Json:
        """The answer as it stands.

        Args:
            status: ``in_progress``, ``completed``, ``incomplete`` or ``failed``.
            output: items so far.
            usage: figures; None while they are not known.
            cut: why it is incomplete.
            error: why it failed.
        """
        return {
            **self._fields,
            "status": status,
            "error": error,
            "incomplete_details": None if cut is None else {"reason": cut},
            "output": output,
            "usage": None if usage is None or usage.prompt_tokens is None else _usage(usage),
        }

    def ended(self, output: list[Json], ending: Ending) -> Json:
        """The answer when it has ended."""
        cut = _CUTS.get(ending.finish)
        return self.response("completed" if cut is None else "incomplete", output, usage=ending.usage, cut=cut)

    def message(self, place: int, text: str | None, status: str) -> Json:
        """An item of text; None while none has begun."""
        content = [] if text is None else [_text(text)]
        return {
            "type": "message",
            "id": f"msg_{self.answer_id}_{place}",
            "role": "assistant",
            "status": status,
            "content": content,
        }

    def reasoning(self, place: int, text: str | None) -> Json:
        """An item of thoughts; None while none have begun."""
        content = [] if text is None else [{"type": "reasoning_text", "text": text}]
        return {"type": "reasoning", "id": f"rs_{self.answer_id}_{place}", "summary": [], "content": content}

    def call(self, place: int, call: ToolCall, status: str) -> Json:
        """An item of a call."""
        return {
            "type": "function_call",
            "id": f"fc_{self.answer_id}_{place}",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
            "status": status,
        }


def response_of(whole: Whole, frame: Frame) -> bytes:
    """A whole answer."""
    status = "completed" if _CUTS.get(whole.ending.finish) is None else "incomplete"
    output: list[Json] = []
    if whole.thought:
        output.append(frame.reasoning(0, whole.thought))
    if whole.text or not whole.calls:
        output.append(frame.message(len(output), whole.text, status))
    for call in whole.calls:
        output.append(frame.call(len(output), call, "completed"))
    return _encode(frame.ended(output, whole.ending))


class ResponseWriter(Writer):
    """Writes a streamed answer: one item after the other, each with its parts.

    Args:
        frame: of the answer.
    """

    media_type: ClassVar[bytes] = b"text/event-stream; charset=utf-8"
    ping: ClassVar[bytes | None] = b": ping\n\n"

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._number = 0
        self._output: list[Json] = []
        self._open: str | None = None
        self._parts: list[str] = []
        self._call: tuple[str, str] = ("", "")
        self._begun = False

    def begin(self) -> bytes:
        """The answer is there and in progress."""
        self._begun = True
        response = self._frame.response("in_progress", [])
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def thought(self, text: str) -> bytes:
        """A part of an item of thoughts."""
        begun = self._item("reasoning")
        self._parts.append(text)
        return begun + self._event(
            "response.reasoning_text.delta", **self._at(f"rs_{self._frame.answer_id}"), content_index=0, delta=text
        )

    def text(self, text: str, logprobs: list[dict[str, Any]] | None) -> bytes:
        """A part of a message."""
        begun = self._item("message")
        self._parts.append(text)
        at = self._at(f"msg_{self._frame.answer_id}")
        return begun + self._event("response.output_text.delta", **at, content_index=0, delta=text, logprobs=[])

    def call(self, call_id: str, name: str) -> bytes:
        """An item for a call."""
        closed = self._close()
        self._call = (call_id, name)
        return closed + self._item("function_call")

    def arguments(self, part: str) -> bytes:
        """A part of its arguments."""
        self._parts.append(part)
        at = self._at(f"fc_{self._frame.answer_id}")
        return self._event("response.function_call_arguments.delta", **at, delta=part)

    def end(self, ending: Ending) -> bytes:
        """The end of the last item and of the answer; one without anything has an empty message."""
        cut = _CUTS.get(ending.finish)
        begun = self._item("message") if not self._output and self._open is None else b""
        closed = self._close("completed" if cut is None else "incomplete")
        response = self._frame.ended(self._output, ending)
        return begun + closed + self._event(f"response.{response['status']}", response=response)

    def fail(self, refusal: Refusal) -> bytes:
        """The answer failed, behind which nothing comes."""
        begun = b"" if self._begun else self.begin()
        code = refusal.code or "server_error"
        response = self._frame.response("failed", self._output, error={"code": code, "message": refusal.message})
        return begun + self._event("response.failed", response=response)

    def _event(self, kind: str, **fields: Any) -> bytes:
        value = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return b"event: " + kind.encode() + b"\ndata: " + _encode(value) + b"\n\n"

    def _at(self, prefix: str) -> Json:
        place = len(self._output)
        return {"item_id": f"{prefix}_{place}", "output_index": place}

    def _item(self, kind: str) -> bytes:
        """The start of an item, unless one of the kind is open."""
        if self._open == kind:
            return b""
        closed = self._close()
        self._open = kind
        self._parts = []
        item = self._as_item(None, "in_progress")
        begun = closed + self._event("response.output_item.added", output_index=len(self._output), item=item)
        if kind == "function_call":
            return begun
        return begun + self._event("response.content_part.added", **self._part_at(item), part=self._part(""))

    def _close(self, status: str = "completed") -> bytes:
        """The end of the open item."""
        if self._open is None:
            return b""
        text = "".join(self._parts)
        item = self._as_item(text, status)
        at = {"item_id": item["id"], "output_index": len(self._output)}
        if self._open == "function_call":
            told = self._event("response.function_call_arguments.done", **at, name=item["name"], arguments=text)
        else:
            extra: Json = {"logprobs": []} if self._open == "message" else {}
            kind = "output_text" if self._open == "message" else "reasoning_text"
            told = self._event(f"response.{kind}.done", **at, content_index=0, text=text, **extra)
            told += self._event("response.content_part.done", **at, content_index=0, part=self._part(text))
        told += self._event("response.output_item.done", output_index=len(self._output), item=item)
        self._output.append(item)
        self._open = None
        return told

    def _as_item(self, text: str | None, status: str) -> Json:
        place = len(self._output)
        if self._open == "message":
            return self._frame.message(place, text, status)
        if self._open == "reasoning":
            return self._frame.reasoning(place, text)
        call_id, name = self._call
        return self._frame.call(place, ToolCall(id=call_id, name=name, arguments=text or ""), status)

    def _part(self, text: str) -> Json:
        return _text(text) if self._open == "message" else {"type": "reasoning_text", "text": text}

    def _part_at(self, item: Json) -> Json:
        return {"item_id": item["id"], "output_index": len(self._output), "content_index": 0}


def _text(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(usage: Usage) -> Json:
    prompt, answer = usage.prompt_tokens or 0, usage.completion_tokens or 0
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": answer,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": prompt + answer,
    }


def _format_told(request: ResponsesRequest) -> Any:
    if request.text is None or request.text.format is None:
        return {"type": "text"}
    return msgspec.to_builtins(request.text.format)
