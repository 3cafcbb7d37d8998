"""Spans of time as people write them."""

from __future__ import annotations

import pytest
from rbee.contract.durations import FOR_EVER, keep_alive_s


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("300", 300),
        (0, 0),
        ("0", 0),
        ("5m", 300),
        ("1h30m", 5400),
        ("90s", 90),
        ("1.5h", 5400),
        ("250ms", 0.25),
        (" 2D ", 172_800),
    ],
)
def test_spans_are_read(told: str | float, seconds: float) -> None:
    assert keep_alive_s(told) == pytest.approx(seconds)


@pytest.mark.parametrize("told", [-1, "-1", "-5m", 1e12, "99999d"])
def test_what_is_negative_or_beyond_ten_years_is_for_ever(told: str | float) -> None:
    assert keep_alive_s(told) == FOR_EVER


@pytest.mark.parametrize("told", ["", "soon", "5 m", "5x", "m5", "nan", "inf", "1e3", "5m!", float("nan")])
def test_what_is_no_span_is_refused_and_named(told: str | float) -> None:
    with pytest.raises(ValueError, match="no span of time"):
        keep_alive_s(told)
