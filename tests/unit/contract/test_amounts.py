"""Amounts in words."""

from __future__ import annotations

import pytest
from rbee.contract.amounts import byte_share, byte_size


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1024 * 1024 - 1, "1.0 MiB"),
        (4_812_288, "4.6 MiB"),
        (3 << 40, "3.0 TiB"),
        (1 << 70, "1048576.0 PiB"),
    ],
)
def test_an_amount_has_the_largest_unit_that_fits(count: int, told: str) -> None:
    assert byte_size(count) == told


def test_a_share_has_the_unit_of_the_whole() -> None:
    assert byte_share(512 * 1024, 4 << 20) == "0.5 of 4.0 MiB"
