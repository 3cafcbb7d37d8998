"""How long a client is willing to wait: ``X-Request-Deadline``, milliseconds from the request's arrival."""

from __future__ import annotations

from rbee.contract.errors import InvalidRequestError

HEADER = b"x-request-deadline"
_MOST_MS = 7 * 24 * 3600 * 1000
_MOST_DIGITS = 12


def seconds_of(value: bytes) -> float:
    """Seconds that a request may take, by the header's value.

    Raises:
        InvalidRequestError: it is no whole number of milliseconds from 1 to a week.
    """
    if value.isdigit() and len(value) <= _MOST_DIGITS and 0 < int(value) <= _MOST_MS:
        return int(value) / 1000
    raise InvalidRequestError(
        f"X-Request-Deadline {value.decode('latin-1')!r}: a whole number of milliseconds is meant, from 1 to "
        f"{_MOST_MS}.",
        param="X-Request-Deadline",
    )
