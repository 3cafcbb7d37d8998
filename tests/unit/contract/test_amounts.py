"""Amounts in words."""

from __future__ import annotations

import pytest
from rbee.contract.amounts import byte_size


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (4_812_288, "4.6 MiB"),
        (3 << 40, "3.0 TiB"),
        (1 << 70, "1048576.0 PiB"),
    ],
)
def test_an_amount_has_the_largest_unit_that_fits(count: int, told: str) -> None:
    assert byte_size(count) == told
