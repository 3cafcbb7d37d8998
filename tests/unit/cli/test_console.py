"""What a command says while a job goes on."""

from __future__ import annotations

import io

import pytest
from rbee.cli.bars import bars
from rbee.cli.console import Plain, Silent, _Live, say, talking
from rich.console import Console
from unit.cli.scripted import progress, sentence
from unit.conftest import Clock

MIB = 1024 * 1024


def test_in_a_pipe_a_long_download_is_told_every_few_seconds(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    talk = Plain(clock)
    talk.event(sentence("Fetching demo"))
    for second in range(12):
        talk.event(progress(second * MIB, 11 * MIB, item=1, items=2))
        clock.tick(1)
    talk.event(sentence("demo\x1b[2J is here"))
    assert capsys.readouterr().err.splitlines() == [
        "Fetching demo",
        "file 1 of 2, 5.0 of 11.0 MiB, 45 %, 1.0 MiB/s, 6s left",
        "file 1 of 2, 10.0 of 11.0 MiB, 90 %, 1.0 MiB/s, 1s left",
        "demo?[2J is here",
    ]


def test_a_short_one_is_told_by_its_sentences_alone(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    talk = Plain(clock)
    for done in range(5):
        talk.event(progress(done, 4))
        clock.tick(0.5)
    talk.event(sentence("here"))
    assert capsys.readouterr().err == "here\n"


def test_nothing_that_is_said_is_for_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("one \x1b]0;x\x07\ntwo \x9b2J")
    assert capsys.readouterr().err == "one ?]0;x?\ntwo ?2J\n"


def test_a_silent_one_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    talk = Silent()
    talk.event(sentence("x"))
    talk.note("x")
    talk.done()
    assert capsys.readouterr().err == ""


def test_on_a_terminal_the_sentence_has_a_bar_beside_it_until_the_next() -> None:
    shown = bars()
    live = _Live(shown)

    def drawn() -> str:
        console = Console(file=io.StringIO(), width=120, color_system=None, force_terminal=True)
        console.print(shown.get_renderable())
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    live.event(sentence("Fetching demo"))
    assert "━" not in drawn()
    live.event(progress(2 * MIB, 8 * MIB, item=2, items=5))
    for part in ("Fetching demo", "file 2 of 5", "━━", "2.0 of 8.0 MiB"):
        assert part in drawn()
    live.event(sentence("Starting an engine"))
    assert "Starting an engine" in drawn()
    assert "MiB" not in drawn()
    live.done()
    live.done()
    live.event(sentence("too late"))


def test_without_a_terminal_it_is_plain() -> None:
    with talking() as talk:
        assert isinstance(talk, Plain)
