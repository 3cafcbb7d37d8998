"""A job's events as they are shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rbee.cli.watching import Watcher, progress_line
from rbee.contract.wire import JobEvent


def event(kind: Any, **fields: Any) -> JobEvent:
    return JobEvent(type=kind, job_id="job-1", emitted_at_ms=0, **fields)


def show(*events: JobEvent, as_json: bool = False, live: bool = False) -> None:
    watcher = Watcher(as_json=as_json, live=live)
    for number, one in enumerate(events, 1):
        watcher.event(number, one)
    watcher.done()


def test_sentences_and_text_are_lines_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    tokens = [event("data", action="token", payload={"t": text, "i": 0}) for text in ("Hello ", "you")]
    result = event("data", action="result", payload={"tokens_out": 2})
    show(event("narration", human="Loading"), *tokens, result, event("done"))
    told = capsys.readouterr()
    assert told.out == 'Loading\nHello you\n{"tokens_out":2}\n'
    assert told.err == ""


def test_names_in_sentences_and_progress_are_not_for_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show(event("narration", human="\x1b]0;x\x07 is\nhere"), event("progress", action="\x1b[2J", done=1))
    told = capsys.readouterr()
    assert told.out == "?]0;x? is here\n"
    assert told.err == "?[2J  1 B\n"


def test_progress_is_told_in_a_pipe_at_the_beginning_and_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    show(*(event("progress", action="model_download", done=done, total=100, unit="bytes") for done in (0, 40, 60, 100)))
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == ["model_download  0 B of 100 B  0 %", "model_download  100 B of 100 B  100 %"]


def test_on_a_terminal_progress_is_a_line_that_makes_room(capsys: pytest.CaptureFixture[str]) -> None:
    show(event("progress", done=1, total=2, unit="bytes"), event("narration", human="Ready"), live=True)
    told = capsys.readouterr()
    assert told.out == "Ready\n"
    assert told.err == "\r\x1b[K1 B of 2 B  50 %\r\x1b[K"


def test_as_json_every_event_is_a_line_with_its_number(capsys: pytest.CaptureFixture[str]) -> None:
    show(event("progress", done=1), event("narration", human="x"), event("done"), as_json=True)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["seq"], one["type"]) for one in told] == [(1, "progress"), (2, "narration"), (3, "done")]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"done": 1536, "total": None, "unit": "bytes"}, "1.5 KiB"),
        (
            {"done": 1 << 30, "total": 4 << 30, "unit": "bytes", "rate": 1048576.0},
            "1.0 GiB of 4.0 GiB  25 %  1.0 MiB/s",
        ),
        (
            {"done": 1024, "total": 4096, "unit": "bytes", "rate": 1024.0, "eta_s": 83.2, "item": 2, "items": 5},
            "file 2 of 5  1.0 KiB of 4.0 KiB  25 %  1.0 KiB/s  1m 23s left",
        ),
        ({"done": 1, "total": 1, "unit": "bytes", "item": 1, "items": 1, "eta_s": 0.0}, "1 B of 1 B  100 %"),
        ({"done": 3, "total": 4, "unit": "files"}, "3 of 4 files  75 %"),
        ({"done": None, "total": None}, "-"),
        ({"done": 5, "total": 0, "unit": "bytes"}, "5 B of 0 B"),
    ],
)
def test_progress_tells_what_is_known(fields: dict[str, Any], told: str) -> None:
    assert progress_line(event("progress", **fields)) == told
