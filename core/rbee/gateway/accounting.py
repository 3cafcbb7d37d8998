"""What an answer cost, read from its bytes without holding them up."""

from __future__ import annotations

import msgspec

_COMMENT = b": rbee-usage "
_FRAMING_EVENTS = 3
"""The role, the reason of the end and ``[DONE]`` are events too."""


class Usage(msgspec.Struct, frozen=True):
    """Tokens as OpenAI's `usage` counts them; None is unknown."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Timings(msgspec.Struct, frozen=True):
    """What some engines tell at the end of every answer, asked or not."""

    prompt_n: int = 0
    cache_n: int = 0
    predicted_n: int | None = None


class _WithUsage(msgspec.Struct, frozen=True):
    usage: Usage | None = None
    timings: _Timings | None = None


_NOTHING = Usage()
_TAIL = 4 * 1024
"""Bytes of a piece in which its last events are looked for."""
_USAGE = msgspec.json.Decoder(Usage)
_DOCUMENT = msgspec.json.Decoder(_WithUsage)


def usage_of(body: bytes) -> Usage:
    """The usage in a whole answer, as far as it tells."""
    try:
        found = _DOCUMENT.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _NOTHING
    if found.usage is None and found.timings is not None:
        timings = found.timings
        return Usage(timings.prompt_n + timings.cache_n, timings.predicted_n)
    return found.usage or _NOTHING


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
            return _USAGE.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
    for event in reversed(tail.split(b"\n\n")):
        if (b'"usage"' in event or b'"timings"' in event) and event.startswith(b"data:"):
            found = usage_of(event[5:])
            if found.completion_tokens is not None:
                return found
    return None
