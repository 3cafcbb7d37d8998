"""The hive's own start and end, whatever fails on the way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from rbee.clients import Credentials
from rbee.hive import HiveService
from rbee.hive.children import tags
from rbee.plugins import load_plugins
from rbee.settings import Folders, Settings


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    found = Folders.locate({"RBEE_HOME": str(tmp_path)})
    found.make()
    return found


@pytest.fixture
def hive(folders: Folders) -> HiveService:
    return HiveService(
        Settings(), folders, load_plugins(""), "http://127.0.0.1:9", Credentials("token"), None, None, {}
    )


@pytest.fixture
def left(folders: Folders) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that an earlier life of the hive left running."""
    code = "import sys; print('up', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "--worker-id=w1"],
        env={**os.environ, **tags(folders.state, "w1", 9, 1, "m")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout.readline() == b"up\n"
        yield process
        process.kill()


async def test_a_start_that_fails_leaves_the_workers_of_an_earlier_life_running(
    hive: HiveService, left: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hive._sampler, "find_devices", AsyncMock(side_effect=OSError("no devices")))
    with pytest.raises(OSError, match="no devices"):
        await hive.start()
    assert [child.pid for child in hive.supervisor.children()] == [left.pid]
    await hive.stop()
    assert left.poll() is None


@pytest.mark.parametrize("step", ["_reporter.tell_stopping", "jobs.stop", "_reporter.leave", "catalog.close"])
async def test_a_step_of_the_stop_that_fails_keeps_no_other_from_being_taken(
    hive: HiveService, left: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    await hive.start()
    await hive.measure()
    owner, _, method = step.rpartition(".")
    part = getattr(hive, owner)
    real = getattr(part, method)

    async def fail(*arguments: object) -> None:
        await real(*arguments)
        raise OSError("no space left")

    monkeypatch.setattr(part, method, fail)
    with pytest.raises(OSError, match="no space left"):
        await hive.stop()
    assert left.wait(10) is not None
    assert all(task.done() for task in hive._tasks)
    assert hive.supervisor.children() == []
