"""How long a client is willing to wait: ``X-Request-Deadline``, milliseconds from the request's arrival."""

from __future__ import annotations

from collections.abc import Iterable

from rbee.contract.errors import InvalidRequestError

HEADER = b"x-request-deadline"
_MOST_MS = 7 * 24 * 3600 * 1000
_MOST_DIGITS = 12


def deadline_of(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    """Seconds that a request may take, None when it does not say.

    Raises:
        InvalidRequestError: the header is no whole number of milliseconds from 1 to a week.
    """
    for name, value in headers:
        if name == HEADER:
            if value.isdigit() and len(value) <= _MOST_DIGITS and 0 < int(value) <= _MOST_MS:
                return int(value) / 1000
            raise InvalidRequestError(
                f"X-Request-Deadline {value.decode('latin-1')!r}: a whole number of milliseconds from 1 to {_MOST_MS} "
                "is meant.",
                param="X-Request-Deadline",
            )
    return None
