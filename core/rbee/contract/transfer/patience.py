"""How often and how long something is tried."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from rbee.contract.errors import UnavailableError
from rbee.contract.transfer.refusals import BrokenError
from rbee.contract.vendor import CancelToken

_POLL_S = 0.05
_LONGEST_WISH_S = 7 * 24 * 3600


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of time of a transfer.

    Attributes:
        connect_s: for a connection to come about.
        silence_s: without a byte, until a connection counts as broken.
        answer_s: until an answer has begun, redirects and asking the vendor for the address included.
        least_bytes_per_s: less than that, on the average of `pace_s`, counts as a broken connection.
        pace_s: see there.
        delays_s: waits between tries that bring nothing to speak of; one more try than waits.
        longest_wait_s: that a server may ask for; with more, the caller is told to come back later.
    """

    connect_s: float = 10.0
    silence_s: float = 30.0
    answer_s: float = 120.0
    least_bytes_per_s: float = 4096.0
    pace_s: float = 60.0
    delays_s: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)
    longest_wait_s: float = 60.0


PATIENCE = Patience()
"""What a transfer has when nobody says otherwise."""

FOR_NEIGHBOURS = Patience(
    connect_s=3.0,
    silence_s=15.0,
    answer_s=30.0,
    least_bytes_per_s=64 * 1024.0,
    pace_s=20.0,
    delays_s=(0.5,),
    longest_wait_s=5.0,
)
"""For a source near by that is only asked because it may be quicker than another one."""


class _Never:
    """A token for work that nobody can cancel; its limits of time still hold."""

    cancelled = False

    def raise_if_cancelled(self) -> None:
        """Do nothing."""


NEVER: CancelToken = _Never()
"""For callers that have no token, as `ModelVendor.resolve` has none."""


class Tries:
    """Counts tries that brought nothing, and waits between them.

    Args:
        patience: how many and how long.
        cancel: ends a wait.
    """

    def __init__(self, patience: Patience, cancel: CancelToken) -> None:
        self._patience = patience
        self._cancel = cancel
        self._failed = 0

    def count_anew(self) -> None:
        """Something has come."""
        self._failed = 0

    def failed(self, error: BrokenError) -> None:
        """A try has failed: wait before the next one.

        Raises:
            UnavailableError: the server wants a longer wait than anybody has patience for.
            UnreachableError: there were enough tries; or whatever the failed try says instead.
            CancelledByCallerError: through the token.
        """
        self._cancel.raise_if_cancelled()
        wished = error.wait_s
        if wished is not None and wished > self._patience.longest_wait_s:
            raise UnavailableError(
                f"{error.message} Try again in {round(wished)} seconds.", retry_after_s=round(wished)
            ) from error
        if self._failed >= len(self._patience.delays_s):
            raise error.for_good() from error
        wait(max(self._patience.delays_s[self._failed], wished or 0.0), self._cancel)
        self._failed += 1


def wait(seconds: float, cancel: CancelToken) -> None:
    """Let time pass.

    Raises:
        CancelledByCallerError: through the token, at once.
    """
    end = time.monotonic() + seconds
    while True:
        cancel.raise_if_cancelled()
        left = end - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, _POLL_S))


def wished_wait(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that a server asks to wait with ``Retry-After``, given as seconds or as a date; None when it does not.

    Args:
        headers: of its answer, names in lower case.
        now: the time, for a date.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:12]), _LONGEST_WISH_S))
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return min(max(0.0, (date - (now or datetime.now(UTC))).total_seconds()), _LONGEST_WISH_S)
