"""Conversations as chat templates get them: every message a role and a text, with calls of tools and their results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from rbee.contract.errors import InvalidRequestError
from rbee.worker.tokens.checking import checked

MAX_MESSAGES = 10_000


class CalledFunction(msgspec.Struct, frozen=True, kw_only=True):
    """What an earlier answer has called; `arguments` is JSON."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    arguments: str = "{}"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a tool in an earlier answer."""

    function: CalledFunction
    id: str | None = None
    type: Literal["function"] = "function"
    index: int | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a conversation; `content` is a text or a list of text parts."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: Annotated[list[Call], Meta(max_length=256)] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None


class TextPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a message."""

    type: Literal["text", "input_text"]
    text: str


def conversation(messages: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """The messages with their contents as plain texts; parts are joined by line breaks.

    Calls come with their arguments as values instead of JSON, as templates write them down.

    Raises:
        InvalidRequestError: there are none, too many, or one is not a text message; `param` says which.
    """
    if not messages:
        raise InvalidRequestError("The conversation is empty; send at least one message.", param="messages")
    if len(messages) > MAX_MESSAGES:
        raise InvalidRequestError(
            f"The conversation has {len(messages)} messages; send at most {MAX_MESSAGES}.",
            param="messages",
        )
    return tuple(_plain(message, f"messages[{index}]") for index, message in enumerate(messages))


def _plain(raw: dict[str, Any], where: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise InvalidRequestError("A message is an object with 'role' and 'content'.", param=where)
    for field, value in raw.items():
        # Clients send back whole messages of earlier answers, whose empty fields carry nothing.
        if field not in Message.__struct_fields__ and value not in (None, [], {}, ""):
            raise InvalidRequestError(
                f"The worker does not support {field!r} in a message; leave it out.", param=f"{where}.{field}"
            )
    message = checked(raw, Message, where=where)
    assistant = message.role == "assistant"
    if message.content is None and not assistant:
        raise InvalidRequestError("The message has no 'content'.", param=f"{where}.content")
    if message.tool_calls and not assistant:
        raise InvalidRequestError("Only the assistant's messages have 'tool_calls'.", param=f"{where}.tool_calls")
    content = message.content or ""
    if not isinstance(content, str):
        content = "\n".join(_text(part, f"{where}.content[{n}]") for n, part in enumerate(content))
    plain: dict[str, Any] = {"role": message.role, "content": content}
    for field in ("name", "tool_call_id", "reasoning_content"):
        if (value := getattr(message, field)) is not None:
            plain[field] = value
    if message.tool_calls:
        plain["tool_calls"] = [_call(one, f"{where}.tool_calls[{n}]") for n, one in enumerate(message.tool_calls)]
    return plain


def _call(call: Call, where: str) -> dict[str, Any]:
    try:
        arguments = msgspec.json.decode(call.function.arguments or "{}")
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequestError(
            f"The arguments of the call are no JSON: {error}.", param=f"{where}.function.arguments"
        ) from None
    told = {"type": "function", "function": {"name": call.function.name, "arguments": arguments}}
    return told if call.id is None else {**told, "id": call.id}


def _text(part: dict[str, Any], where: str) -> str:
    if part.get("type") not in {"text", "input_text"}:
        raise InvalidRequestError(
            f"The worker reads text parts only, not {part.get('type')!r}; send the message as text.",
            param=f"{where}.type",
        )
    return checked(part, TextPart, where=where).text
