"""Server-sent events, as programs send them.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

MEDIA_TYPE = "text/event-stream"


def encode(data: bytes, *, event: str | None = None, event_id: int | str | None = None) -> bytes:
    """One event.  `data` must not contain line breaks, which JSON never does."""
    head = b""
    if event_id is not None:
        head += f"id: {event_id}\n".encode()
    if event is not None:
        head += f"event: {event}\n".encode()
    return head + b"data: " + data + b"\n\n"
