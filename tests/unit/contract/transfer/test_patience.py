"""How long is waited for what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from rbee.contract.errors import UnavailableError, UnreachableError
from rbee.contract.transfer.patience import Patience, Tries, wished_wait
from rbee.contract.transfer.refusals import BrokenError
from rbee.testing.cancel import Cancel

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def test_a_wait_may_be_given_as_seconds_or_as_a_date() -> None:
    assert wished_wait({"retry-after": " 7 "}) == 7
    assert wished_wait({"retry-after": format_datetime(NOW + timedelta(seconds=9), usegmt=True)}, NOW) == 9
    assert wished_wait({"retry-after": format_datetime(NOW - timedelta(seconds=9))}, NOW) == 0


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "٣"])
def test_other_words_are_no_wish(text: str) -> None:
    assert wished_wait({"retry-after": text}) is None


def test_a_wish_has_a_bound() -> None:
    assert wished_wait({"retry-after": "9" * 50}) == wished_wait({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, NOW)


def test_the_default_patience_has_six_tries_and_grows() -> None:
    assert Patience().delays_s == (0.5, 1.0, 2.0, 4.0, 8.0)


def test_the_last_try_says_what_happened() -> None:
    tries = Tries(Patience(delays_s=(0.0,)), Cancel())
    tries.failed(BrokenError("The line was cut."))
    with pytest.raises(UnreachableError, match=r"The line was cut\. What has come is kept"):
        tries.failed(BrokenError("The line was cut."))
    tries.count_anew()
    tries.failed(BrokenError("The line was cut."))
    with pytest.raises(UnavailableError) as caught:
        tries.failed(BrokenError("No time.", busy=True, wait_s=20))
    assert caught.value.retry_after_s == 20
