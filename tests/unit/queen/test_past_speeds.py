"""Speeds that outlast the queen."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from rbee.queen.past_speeds import PastSpeeds
from rbee.queen.rates import Average, Kind, Speed


def kind(model: str = "m") -> Kind:
    return Kind(model, "engine", "h", "CPU-0", 4)


def speed(prefill: float | None, *decode: float) -> Speed:
    made = Speed()
    made.prefill = None if prefill is None else Average(prefill, 3)
    for group, tok_s in enumerate(decode):
        made.decode[group] = Average(tok_s, 5)
    return made


async def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "speeds.db"
    first = PastSpeeds(path)
    await first.open()
    assert first.of(kind()) is None
    await first.keep([(kind(), speed(700.0, 50.0, 40.0)), (kind("other"), speed(None, 9.0))])
    await first.keep([(kind(), speed(800.0, 60.0))])
    await first.close()
    assert path.stat().st_mode & 0o777 == 0o600

    again = PastSpeeds(path)
    await again.open()
    found, other = again.of(kind()), again.of(kind("other"))
    await again.close()
    assert found is not None
    assert found.prefill is not None
    assert (found.prefill.tok_s, found.prefill.measurements, found.at(0)) == (800.0, 3, 60.0)
    assert found.decode[1] is None
    assert other is not None
    assert (other.prefill, other.at(0)) == (None, 9.0)


async def test_nothing_is_written_while_nothing_is_new(tmp_path: Path) -> None:
    past = PastSpeeds(tmp_path / "speeds.db")
    await past.open()
    await past.keep([])
    await past.close()
    assert list(tmp_path.iterdir()) == []


async def test_only_the_latest_kinds_are_kept_in_memory_and_file(tmp_path: Path) -> None:
    past = PastSpeeds(tmp_path / "speeds.db", most=2)
    await past.open()
    for model in ("a", "b", "a", "c"):
        await past.keep([(kind(model), speed(1.0))])
    await past.keep([(kind(model), speed(1.0)) for model in ("d", "e", "f")])
    await past.close()
    again = PastSpeeds(tmp_path / "speeds.db")
    await again.open()
    for one in (past, again):
        assert [model for model in "abcdef" if one.of(kind(model)) is not None] == ["e", "f"]
    await again.close()


async def test_what_is_kept_moves_no_more_with_its_worker(tmp_path: Path) -> None:
    past, one = PastSpeeds(tmp_path / "speeds.db"), speed(100.0)
    await past.open()
    await past.keep([(kind(), one)])
    assert one.prefill is not None
    one.prefill.move(1000.0)
    found = past.of(kind())
    assert found is not None
    assert found.prefill is not None
    assert found.prefill.tok_s == 100.0
    await past.close()


async def test_a_file_that_cannot_be_written_costs_a_warning_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    past = PastSpeeds(tmp_path / "no" / "folder" / "speeds.db")
    (tmp_path / "no").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        await past.keep([(kind(), speed(100.0))])
    assert "could not be kept" in caplog.text
    assert past.of(kind()) is not None
    (tmp_path / "no").unlink()
    (tmp_path / "no" / "folder").mkdir(parents=True)
    await past.keep([])
    await past.close()
    again = PastSpeeds(tmp_path / "no" / "folder" / "speeds.db")
    await again.open()
    assert again.of(kind()) is not None, "written once it could be"
    await again.close()
