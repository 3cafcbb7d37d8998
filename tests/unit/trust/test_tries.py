from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from rbee.contract.errors import RateLimitedError
from rbee.trust.tries import Tries

NOW = datetime(2026, 11, 27, tzinfo=UTC)


def test_so_many_wrong_ones_a_time_from_one_network() -> None:
    at = NOW
    tries = Tries(2, timedelta(minutes=1), lambda: at)
    for caller in ("2001:db8::1", "2001:db8::ffff:2"):
        tries.check(caller)
        tries.failed(caller)
    with pytest.raises(RateLimitedError):
        tries.check("2001:db8::3")
    tries.check("2001:db8:0:1::3")
    tries.check("")
    at += timedelta(minutes=1)
    tries.check("2001:db8::3")


def test_callers_without_number_are_no_burden() -> None:
    tries = Tries(1, timedelta(minutes=1), lambda: NOW)
    for number in range(3000):
        tries.failed(f"10.{number >> 8}.{number & 255}.1")
    assert len(tries._wrong) == 1000
    with pytest.raises(RateLimitedError):
        tries.check("10.11.183.1")
