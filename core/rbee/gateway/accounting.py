"""What an answer cost, read from its bytes without holding them up."""

from __future__ import annotations

import re
from typing import Any

import msgspec

_COMMENT = b": rbee-usage "
_FRAMING_EVENTS = 3
"""The role, the reason of the end and ``[DONE]`` are events too."""


_TEXT = re.compile(rb'"(?:content|text|reasoning_content|reasoning|arguments)":\s*"[^"]')


class Usage(msgspec.Struct, frozen=True):
    """Tokens as OpenAI's `usage` counts them; None is unknown.

    Attributes:
        prompt_tokens: of the prompt.
        completion_tokens: of the answer.
        cached_tokens: of the prompt's, taken from a cache.
        prompt_s: seconds in which the worker computed the rest of the prompt, as it measured them.
        decode_s: seconds from the answer's first token to its last, likewise.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    prompt_s: float | None = None
    decode_s: float | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: Any = None

    @property
    def cached(self) -> int | None:
        details = self.prompt_tokens_details
        found = details.get("cached_tokens") if isinstance(details, dict) else None
        return found if isinstance(found, int) else None


class _Timings(msgspec.Struct, frozen=True):
    """What some engines tell at the end of every answer, asked or not."""

    prompt_n: int = 0
    cache_n: int = 0
    prompt_ms: float | None = None
    predicted_n: int | None = None
    predicted_ms: float | None = None


class _WithUsage(msgspec.Struct, frozen=True):
    usage: _Usage | None = None
    timings: _Timings | None = None


class _Comment(msgspec.Struct, frozen=True):
    """What a worker of ours tells at the end of a stream."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    prompt_ms: float | None = None
    decode_ms: float | None = None


_NOTHING = Usage()
_TAIL = 4 * 1024
"""Bytes of a piece in which its last events are looked for."""
_SAID = msgspec.json.Decoder(_Comment)
_DOCUMENT = msgspec.json.Decoder(_WithUsage)


def usage_of(body: bytes) -> Usage:
    """The usage in a whole answer, as far as it tells."""
    try:
        found = _DOCUMENT.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _NOTHING
    usage, timings = found.usage, found.timings
    if timings is None:
        return _NOTHING if usage is None else Usage(usage.prompt_tokens, usage.completion_tokens, usage.cached)
    prompt, answer = timings.prompt_n + timings.cache_n, timings.predicted_n
    if usage is None:
        usage = _Usage(prompt, answer)
    return Usage(
        usage.prompt_tokens,
        usage.completion_tokens,
        timings.cache_n if usage.cached is None else usage.cached,
        # Of several answers to one request these are the times of one, and the usage counts all.
        _seconds(timings.prompt_ms) if prompt == usage.prompt_tokens else None,
        _seconds(timings.predicted_ms) if answer == usage.completion_tokens else None,
    )


def speaks(data: bytes) -> bool:
    """Whether there is text in a piece of a stream: who speaks, how far the prompt is, and comments are none."""
    return _TEXT.search(data) is not None


def texts(data: bytes) -> int:
    """How many pieces of text there are."""
    return len(_TEXT.findall(data))


class StreamUsage:
    """Watches a stream of events: its last ones tell the usage, and where they do not, its events are counted.

    The usage is in the last chunk before ``[DONE]`` when the client has asked for it; else some engines tell their
    timings there, and a worker of ours tells it in a comment, ``: rbee-usage {...}``, because it was sent
    ``x-rbee-usage: 1``.
    """

    __slots__ = ("_before", "_events", "_last")

    def __init__(self) -> None:
        self._events = 0
        self._before = b""
        self._last = b""

    def saw(self, data: bytes) -> None:
        """More of the stream."""
        self._events += data.count(b"\n\n")
        if len(data) > _TAIL:
            # A client that reads nothing would hold two whole pieces for this.
            data = data[-_TAIL:]
        self._before, self._last = self._last, data

    def usage(self) -> Usage:
        """Tokens, as far as the stream has told them."""
        tail = self._before + self._last
        found = _told(tail)
        if found is not None:
            return found
        return Usage(None, max(0, self._events - _FRAMING_EVENTS) if self._events else None)


def _told(tail: bytes) -> Usage | None:
    at = tail.rfind(_COMMENT)
    if at >= 0:
        line = tail[at + len(_COMMENT) :].partition(b"\n")[0]
        try:
            said = _SAID.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        times = _seconds(said.prompt_ms), _seconds(said.decode_ms)
        return Usage(said.prompt_tokens, said.completion_tokens, said.cached_tokens, *times)
    for event in reversed(tail.split(b"\n\n")):
        if (b'"usage"' in event or b'"timings"' in event) and event.startswith(b"data:"):
            found = usage_of(event[5:])
            if found.completion_tokens is not None:
                return found
    return None


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
