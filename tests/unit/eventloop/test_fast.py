"""The event loop of programs with much traffic."""

from __future__ import annotations

import gc
import sys

import pytest
from rbee.eventloop import fast_loop, settle_memory


def test_the_loop_is_uvloops_where_there_is_one() -> None:
    make = fast_loop()
    assert make is not None
    loop = make()
    loop.close()
    assert type(loop).__module__.startswith("uvloop")


def test_without_uvloop_the_usual_loop_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert fast_loop() is None


def test_what_a_start_has_made_is_left_out_of_later_collections() -> None:
    before, threshold = gc.get_freeze_count(), gc.get_threshold()
    try:
        settle_memory()
        assert gc.get_freeze_count() > before
        assert gc.get_threshold()[0] > threshold[0]
    finally:
        gc.unfreeze()
        gc.set_threshold(*threshold)
