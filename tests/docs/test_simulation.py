"""The page on the simulator's files names every field, and its examples are right."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import yaml
from docs.reading import blocks, pages
from rbee.simulation import (
    Arrivals,
    Compute,
    Fleet,
    Gpu,
    HiveGroup,
    Key,
    Length,
    Load,
    ModelLoad,
    Prefixes,
    Recorded,
    Sessions,
)
from rbee.simulation.load import Figures

PAGE = next(page for page in pages() if page.name == "simulate-a-fleet.md")
STRUCTS = (
    Arrivals, Compute, Figures, Fleet, Gpu, HiveGroup, Key, Length, Load, ModelLoad, Prefixes, Sessions
)  # fmt: skip


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_field_of_the_files_is_documented(struct: type[msgspec.Struct]) -> None:
    text = PAGE.read_text("utf-8")
    assert [name for name in struct.__struct_fields__ if f"`{name}`" not in text] == []


def test_every_field_of_a_recording_stands_in_the_example() -> None:
    (example,) = blocks(PAGE.read_text("utf-8"), "json")
    assert set(msgspec.json.decode(example)) == set(Recorded.__struct_fields__)


def test_the_examples_on_the_page_are_right() -> None:
    fleet, load = blocks(PAGE.read_text("utf-8"), "yaml")
    assert msgspec.convert(yaml.safe_load(fleet), Fleet).hives[0].workers == {"small": 2, "chat": 1}
    assert len(msgspec.convert(yaml.safe_load(load), Load).keys) == 2


def test_the_examples_beside_it_are_linked() -> None:
    text = PAGE.read_text("utf-8")
    for path in (PAGE.parents[1] / "examples").iterdir():
        assert f"(../examples/{Path(path).name})" in text
