"""Logs of this machine: the list, which one a program's is, and how lines are printed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from rbee.cli.logfiles import list_logs, program_log
from rbee.cli.logprint import LogPrinter, safe
from rbee.cli.programs import ProgramFiles, ProgramRecord
from rbee.settings import Folders


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    found = Folders.locate({"RBEE_HOME": str(tmp_path)})
    found.make()
    return found


def put(folders: Folders, name: str, text: str = "x\n", age_s: float = 0.0) -> None:
    path = folders.logs / name
    path.write_text(text)
    os.utime(path, (time.time() - age_s,) * 2)


def test_programs_come_first_and_the_newest_worker_before_the_others(folders: Folders) -> None:
    put(folders, "old.log", age_s=100)
    put(folders, "new.log", age_s=10)
    put(folders, "colony.log", age_s=1000)
    assert [(one.name, one.kind) for one in list_logs(folders.logs)] == [
        ("colony", "program"),
        ("new", "worker"),
        ("old", "worker"),
    ]


def test_a_log_counts_with_its_older_files(folders: Folders) -> None:
    put(folders, "w.log", "12345")
    put(folders, "w.log.1", "123", age_s=5)
    put(folders, "w.log.part", "never mind")
    put(folders, "notes.txt")
    (one,) = list_logs(folders.logs)
    assert (one.name, one.files, one.size_bytes) == ("w", 2, 8)
    assert time.time() - one.written_at.timestamp() < 4


def test_links_are_not_listed_and_a_missing_folder_has_none(folders: Folders, tmp_path: Path) -> None:
    (folders.logs / "link.log").symlink_to(tmp_path)
    assert list_logs(folders.logs) == []
    assert list_logs(tmp_path / "nowhere") == []


def run(folders: Folders, *, colony: bool, detached: bool | None = None) -> ProgramFiles:
    files = ProgramFiles(folders, "queen")
    files.claim()
    files.write(
        ProgramRecord(program="queen", pid=1, url="http://x", started_at=time.time(), colony=colony, detached=detached)
    )
    return files


def test_a_program_of_a_colony_writes_to_its_log(folders: Folders) -> None:
    put(folders, "colony.log")
    put(folders, "queen.log", age_s=100)
    files = run(folders, colony=True)
    found = program_log(folders, "queen")
    files.disclaim()
    assert (found.name, found.elsewhere) == ("colony", None)


def test_a_program_on_a_terminal_has_no_lines_in_its_log(folders: Folders) -> None:
    put(folders, "queen.log", age_s=100)
    files = run(folders, colony=False)
    found = program_log(folders, "queen")
    files.disclaim()
    assert found.name == "queen"
    assert "terminal" in (found.elsewhere or "")


def test_a_program_in_the_background_that_has_written_nothing_yet_has_its_own_log(folders: Folders) -> None:
    put(folders, "queen.log", age_s=100)
    files = run(folders, colony=False, detached=True)
    found = program_log(folders, "queen")
    files.disclaim()
    assert (found.name, found.elsewhere) == ("queen", None)


def test_a_program_on_a_terminal_has_no_log_however_fresh_an_earlier_one_is(folders: Folders) -> None:
    put(folders, "queen.log")
    files = run(folders, colony=False, detached=False)
    found = program_log(folders, "queen")
    files.disclaim()
    assert "terminal" in (found.elsewhere or "")


def test_of_a_program_that_does_not_run_the_newest_log_is_meant(folders: Folders) -> None:
    assert program_log(folders, "queen").name == "queen"
    put(folders, "queen.log", age_s=100)
    put(folders, "colony.log", age_s=10)
    assert program_log(folders, "queen").name == "colony"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain", "plain"),
        ("tab\there", "tab\there"),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", "?]0;title?"),
        ("\x1b[2J\x1b[1;1Hgone", "?[2J?[1;1Hgone"),
        ("back\x08\x7f\x9bspace", "back???space"),
        ("ended\r", "ended"),
        ("over\rwritten", "over?written"),
    ],
)
def test_a_line_does_nothing_to_a_terminal_but_colour_it(line: str, shown: str) -> None:
    assert safe(line) == shown


def test_in_a_pipe_the_bytes_come_as_they_are(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    printer = LogPrinter("w", as_json=False)
    printer.write(b"a\x00\xff")
    printer.write(b"b")
    printer.finish()
    assert capfdbinary.readouterr().out == b"a\x00\xffb"


def test_as_json_each_line_is_an_object_however_it_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    printer = LogPrinter("w", as_json=True)
    for piece in (b"on", b"e\ntw", b"o \xc3", b"\xa9\xff\n", b"rest"):
        printer.write(piece)
    printer.finish()
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told == [{"name": "w", "line": text} for text in ("one", "two é\ufffd", "rest")]
