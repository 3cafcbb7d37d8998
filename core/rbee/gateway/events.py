"""Events of OpenAI's streams, as far as the gateway has to read them: only when a worker has died."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

_DATA = b"data:"
_DONE = b"[DONE]"


class Delta(msgspec.Struct, frozen=True):
    """What is new in a chat: text, or something that is not text alone."""

    content: str | None = None
    tool_calls: msgspec.Raw | None = None
    function_call: msgspec.Raw | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    audio: msgspec.Raw | None = None


class Choice(msgspec.Struct, frozen=True):
    """One choice of an event: a chat's has a delta, a completion's a text."""

    index: int = 0
    delta: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class Event(msgspec.Struct, frozen=True):
    """One event."""

    id: str | None = None
    created: int | None = None
    model: str | None = None
    choices: list[Choice] = msgspec.field(default_factory=list)

    def text(self) -> str | None:
        """The text in it, which may be empty; None when it has something else, another choice, or an end."""
        text = ""
        for choice in self.choices:
            if choice.index or choice.finish_reason:
                return None
            delta = choice.delta
            if delta is None:
                text += choice.text or ""
            elif (
                delta.tool_calls is None
                and delta.function_call is None
                and delta.audio is None
                and not delta.reasoning_content
                and not delta.refusal
            ):
                text += delta.content or ""
            else:
                return None
        return text


_EVENT = msgspec.json.Decoder(Event)
_EVENTS = msgspec.json.Decoder(list[Event])


def events_of(data: bytes) -> Iterable[Event | None]:
    """The events in a stream's whole events; None for one that is none of OpenAI's, or its end."""
    if data.startswith(_DATA) and data.endswith(b"\n\n"):
        # JSON has no raw line breaks, so that nothing but events alone becomes a list in this way.
        try:
            return _EVENTS.decode(b"[" + data[len(_DATA) : -2].replace(b"\n\n" + _DATA, b",") + b"]")
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
    return _one_by_one(data)


def _one_by_one(data: bytes) -> Iterator[Event | None]:
    for raw in data.replace(b"\r\n", b"\n").split(b"\n\n"):
        if not raw.startswith(_DATA):
            # A comment, or nothing.
            if raw and not raw.startswith(b":"):
                yield None
            continue
        try:
            yield _EVENT.decode(raw[len(_DATA) :])
        except (msgspec.DecodeError, UnicodeDecodeError):
            yield None


def replaced_event(raw: bytes, first: Event | None, tokens: int) -> bytes:
    """One event of a second worker as one of the first's answer; nothing for one that only begins.

    Args:
        raw: the event, without the empty line behind it.
        first: an event of the first worker's.
        tokens: of the answer that the first worker gave.
    """
    if not raw:
        return b""
    payload = raw[len(_DATA) :].strip()
    if not raw.startswith(_DATA) or payload == _DONE:
        return raw + b"\n\n"
    try:
        event: dict[str, Any] = msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return raw + b"\n\n"
    choices = event.get("choices") or []
    if choices and all(_only_begins(choice) for choice in choices):
        return b""
    if first is not None:
        same = {"id": first.id, "created": first.created, "model": first.model}
        event.update({name: value for name, value in same.items() if value is not None})
    usage = event.get("usage")
    if isinstance(usage, dict) and isinstance(usage.get("completion_tokens"), int):
        # What the first worker gave was a part of the second's prompt.
        usage["completion_tokens"] += tokens
        if isinstance(usage.get("prompt_tokens"), int):
            usage["prompt_tokens"] = max(0, usage["prompt_tokens"] - tokens)
    return _DATA + b" " + msgspec.json.encode(event) + b"\n\n"


def _only_begins(choice: Any) -> bool:
    delta = choice.get("delta") if isinstance(choice, dict) else None
    return (
        isinstance(delta, dict)
        and "role" in delta
        and not delta.get("content")
        and not delta.get("tool_calls")
        and not choice.get("finish_reason")
    )
