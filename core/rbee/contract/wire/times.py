"""Times on the wire."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The present moment with its time zone, as the wire format wants it."""
    return datetime.now(UTC)
