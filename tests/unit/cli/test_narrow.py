"""Tables on narrow terminals."""

from __future__ import annotations

import io

import pytest
from rbee.cli.narrow import NarrowTable, fitting
from rich.console import Console


@pytest.mark.parametrize(
    ("room", "shown"),
    [(100, [0, 1, 2]), (16, [0, 1, 2]), (15, [0, 1]), (9, [0]), (1, [0])],
)
def test_what_matters_least_goes_first_and_what_must_stay_stays(room: int, shown: list[int]) -> None:
    assert fitting((4, 4, 4), (2, 1), room) == shown


def printed(width: int, gpus: str = "GPU-0 12 % of a lot of memory") -> str:
    table = NarrowTable(
        ("HIVE", "CPU", "GPUS", "AGE"),
        [("a-hive-with-a-name", "7 %", gpus, "1s")],
        right={"CPU"},
        first_to_go=("AGE", "GPUS", "CPU"),
        elastic="GPUS",
    )
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_on_a_narrow_terminal_the_name_is_whole_and_figures_are_left_out() -> None:
    assert printed(20).split() == ["HIVE", "a-hive-with-a-name"]
    assert printed(30).split() == ["HIVE", "CPU", "a-hive-with-a-name", "7", "%"]


def test_a_long_list_of_devices_is_cut_before_a_column_goes() -> None:
    text = printed(45)
    assert "AGE" in text
    assert "GPU-0" in text
    assert "memory" not in text
    assert "memory" in printed(80)
