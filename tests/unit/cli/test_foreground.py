"""A program in this process: its report to a starter, its log, its exit code."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from rbee.cli.context import Context
from rbee.cli.detached import StartReport
from rbee.cli.exits import INTERRUPTED, OK
from rbee.cli.foreground import run_program

MIB = 1024 * 1024


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setenv("RBEE_HOME", str(tmp_path))
    return Context({"server.log_max_mb": "1", "server.log_files": "2"})


def test_in_the_background_it_reports_that_it_is_up_and_keeps_its_log_small(context: Context, tmp_path: Path) -> None:
    log, older = tmp_path / "queen.log", tmp_path / "queen.log.1"
    log.write_bytes(b"x" * (MIB + 1))

    async def host(ready: Callable[[str], None]) -> None:
        ready("up")
        async with asyncio.timeout(20):
            while not older.exists() or log.stat().st_size:
                await asyncio.sleep(0.01)

    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe:
        assert run_program(context, host, pytest.fail, writing, log, "The queen") == OK
        assert msgspec.json.decode(pipe.read(), type=StartReport) == StartReport()
    assert older.stat().st_size == MIB + 1


def test_in_a_terminal_it_is_announced_and_files_are_not_its_own(context: Context, tmp_path: Path) -> None:
    log = tmp_path / "queen.log"
    log.write_bytes(b"x" * (MIB + 1))
    told: list[str] = []

    async def host(ready: Callable[[str], None]) -> signal.Signals:
        ready("up")
        assert {task.get_name() for task in asyncio.all_tasks()}.isdisjoint({"the program's log"})
        return signal.SIGINT

    assert run_program(context, host, told.append, None, log, "The queen") == INTERRUPTED
    assert (told, log.stat().st_size) == (["up"], MIB + 1)
