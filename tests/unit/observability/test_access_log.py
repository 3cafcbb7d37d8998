"""One line a request."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.observability import access_log
from unit.observability.building import record, refused


def test_the_line_for_people_tells_what_is_known() -> None:
    assert access_log.as_text(record()) == (
        "req-1 /v1/chat/completions model=fast worker=w1 status=200 in=7 out=5 queue=0.100s first=0.500s duration=2.500s"
    )
    assert access_log.as_text(refused(model=None)) == (
        "req-1 /v1/chat/completions status=404 error=MODEL_NOT_FOUND duration=2.500s"
    )
    assert access_log.as_text(record(attempts=2, continued=True)).endswith(" attempts=2 continued=yes")


@given(st.text(max_size=400))
def test_no_name_breaks_the_line_or_looks_like_another_field(name: str) -> None:
    line = access_log.as_text(record(model=name))
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    if " " in name:
        assert "model='" in line or 'model="' in line


@given(st.text(max_size=400))
def test_the_line_for_machines_is_one_object_with_every_field(name: str) -> None:
    line = access_log.as_json(record(model=name, prompt_tokens=None))
    assert "\n" not in line
    told = json.loads(line)
    assert told["prompt_tokens"] is None
    assert told["model"] == name[:200]
    assert (told["status"], told["worker_id"], told["completion_tokens"]) == (200, "w1", 5)
    assert told["time"].endswith("Z")


@pytest.mark.parametrize(("form", "lines"), [("off", 0), ("text", 1), ("json", 1)])
def test_it_is_written_as_wanted(form: access_log.Form, lines: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rbee.access")
    access_log.write(record(), form)
    assert len(caplog.records) == lines
    if form == "json":
        assert json.loads(caplog.messages[0])["request_id"] == "req-1"


def test_nothing_is_made_of_a_line_that_nobody_keeps(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING, "rbee.access")
    monkeypatch.setattr(access_log, "as_json", lambda _: pytest.fail("made"))
    access_log.write(record(), "json")


def test_lines_for_machines_stand_alone(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("rbee.access")
    log.setLevel(logging.INFO)
    try:
        access_log.write_bare()
        access_log.write_bare()
        access_log.write(record(), "json")
        assert json.loads(capsys.readouterr().err)["request_id"] == "req-1"
    finally:
        log.handlers.clear()
        log.propagate = True
        log.setLevel(logging.NOTSET)
