"""Several jobs side by side, with and without a terminal."""

from __future__ import annotations

import io
import time

import pytest
from rbee.cli.bars import bars
from rbee.cli.transfers import LiveTransfers, Transfers, transferring
from rich.console import Console
from rich.progress import Progress
from unit.cli.scripted import progress, sentence
from unit.conftest import Clock

MIB = 1024 * 1024


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    told = capsys.readouterr()
    assert told.out == ""
    return told.err.splitlines()


def test_plain_lines_tell_the_start_now_and_then_and_the_end(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    row = Transfers(clock).row("demo")
    row.event(sentence("Fetching demo"))
    for second in range(12):
        row.event(progress(second * MIB, 12 * MIB, item=1, items=2))
        clock.tick(1)
    row.event(progress(12 * MIB, 12 * MIB, item=2, items=2))
    row.event(sentence("demo is here"))
    assert said(capsys) == [
        "Fetching demo",
        "demo: file 1 of 2, 0.0 of 12.0 MiB, 0 %",
        "demo: file 1 of 2, 5.0 of 12.0 MiB, 41 %, 1.0 MiB/s, 7s left",
        "demo: file 1 of 2, 10.0 of 12.0 MiB, 83 %, 1.0 MiB/s, 2s left",
        "demo: file 2 of 2, 12.0 of 12.0 MiB, 100 %",
        "demo is here",
    ]


def test_several_jobs_say_whose_line_it_is(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    display = Transfers(clock)
    rows = [display.row(f"{name} demo", name) for name in ("one", "two")]
    for row in rows:
        row.event(sentence("Fetching demo"))
        row.event(progress(1, 2))
    assert said(capsys) == [
        "one: Fetching demo",
        "one demo: 1 of 2 B, 50 %",
        "two: Fetching demo",
        "two demo: 1 of 2 B, 50 %",
    ]


def test_nothing_in_a_sentence_is_for_the_terminal(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    Transfers(clock).row("x\x1b[2J").event(sentence("a\x1b[31mb\nc"))
    display = Transfers(clock)
    display.row("x\x1b[2J").event(progress(1, 2))
    assert said(capsys) == ["a?[31mb c", "x?[2J: 1 of 2 B, 50 %"]


def test_what_is_kept_is_what_open_fetches_have_brought(clock: Clock) -> None:
    display = Transfers(clock)
    done, failed, going, other = (display.row(name) for name in ("done", "failed", "going", "other"))
    assert display.kept == ""
    done.event(progress(8 * MIB, 8 * MIB))
    done.ended(well=True)
    failed.event(progress(1 * MIB, 8 * MIB))
    failed.ended(well=False)
    going.event(progress(3 * MIB, 8 * MIB))
    other.event(progress(7 * MIB, 8 * MIB, action="model_verify"))
    assert display.kept == "4.0 of 16.0 MiB"
    going.event(progress(4 * MIB, None))
    assert display.kept == "5.0 MiB"


def drawn(progress_bars: Progress, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=True)
    console.print(progress_bars.get_renderable())
    assert isinstance(console.file, io.StringIO)
    return [one.rstrip() for one in console.file.getvalue().splitlines()]


@pytest.fixture
def live() -> LiveTransfers:
    """On a terminal, though nothing is drawn but by the test."""
    return LiveTransfers(bars())


def test_bars_of_all_jobs_stand_below_each_other(live: LiveTransfers) -> None:
    rows = {name: live.row(f"{name} demo", name) for name in ("one", "two")}
    now = time.monotonic()
    rows["one"].transfer.take(progress(0, 4 * MIB, item=1, items=3), now - 1.5)
    rows["one"].event(progress(2 * MIB, 4 * MIB, item=2, items=3))
    first, second = drawn(live.progress, 120)
    assert "one demo" in first
    for part in ("file 2 of 3", "━━━", "2.0 of 4.0 MiB", "MiB/s", "1s"):
        assert part in first
    assert second.split()[1:] == ["two", "demo"]
    rows["one"].done()
    (left,) = drawn(live.progress, 120)
    assert "two demo" in left


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_long_name_gives_way_and_figures_stay(live: LiveTransfers, width: int) -> None:
    row = live.row("a-hive-with-a-long-name some-organisation/some-model-with-a-long-name-GGUF:Q4_K_M")
    row.transfer.take(progress(0, 4096 * MIB), time.monotonic() - 4)
    row.event(progress(1024 * MIB, 4096 * MIB))
    (drawn_line,) = drawn(live.progress, width)
    assert "1.0 of 4.0 GiB" in drawn_line
    assert "12s" in drawn_line
    assert len(drawn_line) <= width


def test_a_sentence_goes_above_the_bars_and_a_note_until_the_first_job(
    live: LiveTransfers, capsys: pytest.CaptureFixture[str]
) -> None:
    live.note("Starting a colony")
    assert "Starting a colony" in drawn(live.progress, 80)[0]
    row = live.row("one demo", "one")
    assert "Starting a colony" not in drawn(live.progress, 80)[0]
    row.event(sentence("Fetching demo"))
    assert "one: Fetching demo\n" in capsys.readouterr().err


def test_without_a_terminal_lines_are_plain() -> None:
    with transferring() as display:
        assert type(display) is Transfers
