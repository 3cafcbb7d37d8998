"""Conversations as engines get them: every message a role and a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from rbee.contract.errors import InvalidRequestError
from rbee.worker.tokens.checking import checked

MAX_MESSAGES = 10_000


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a conversation; `content` is a text or a list of text parts."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[dict[str, Any]]
    name: str | None = None


class TextPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a message."""

    type: Literal["text", "input_text"]
    text: str


def conversation(messages: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """The messages with their contents as plain texts; parts are joined by line breaks.

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
    for field, value in raw.items():
        # Clients send back whole messages of earlier answers, whose empty fields carry nothing.
        if field not in Message.__struct_fields__ and value not in (None, [], {}, ""):
            raise InvalidRequestError(
                f"The worker does not support {field!r} in a message; leave it out.", param=f"{where}.{field}"
            )
    message = checked(raw, Message, where=where)
    content = message.content
    if not isinstance(content, str):
        content = "\n".join(_text(part, f"{where}.content[{n}]") for n, part in enumerate(content))
    plain = {"role": message.role, "content": content}
    if message.name is not None:
        plain["name"] = message.name
    return plain


def _text(part: dict[str, Any], where: str) -> str:
    if part.get("type") not in {"text", "input_text"}:
        raise InvalidRequestError(
            f"The worker reads text parts only, not {part.get('type')!r}; send the message as text.",
            param=f"{where}.type",
        )
    return checked(part, TextPart, where=where).text
