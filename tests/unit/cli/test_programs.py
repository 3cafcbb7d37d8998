"""Records and locks of programs, beside what killed ones have left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rbee.cli import apart, ending
from rbee.cli.colony import ColonyFiles, ColonyRecord
from rbee.cli.commands import down
from rbee.cli.context import Context
from rbee.cli.programs import ProgramFiles, ProgramRecord
from rbee.contract.errors import RbeeError
from rbee.settings import Folders


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    found = Folders.locate({"RBEE_HOME": str(tmp_path)})
    found.make()
    return found


def record(pid: int) -> ProgramRecord:
    return ProgramRecord(program="hive", pid=pid, url="http://127.0.0.1:1", started_at=time.time())


def test_while_a_program_starts_the_record_of_a_killed_one_does_not_pass_for_its_own(folders: Folders) -> None:
    ProgramFiles(folders, "hive").write(record(4711))
    starting = ProgramFiles(folders, "hive")
    starting.claim()
    try:
        assert ProgramFiles(folders, "hive").read() is None
        starting.write(record(os.getpid()))
        assert ProgramFiles(folders, "hive").read().pid == os.getpid()
    finally:
        starting.disclaim()


SUCCESSION = """
import os, signal, sys, time
from rbee.cli.programs import ProgramFiles, ProgramRecord
from rbee.settings import Folders

folders = Folders.locate(os.environ)
files = ProgramFiles(folders, "hive")
files.claim()

def write(pid):
    files.write(ProgramRecord(program="hive", pid=pid, url="http://127.0.0.1:1", started_at=time.time()))

# The lock is never seen free: one that starts again at once looks the same from outside.
signal.signal(signal.SIGTERM, lambda *_: write(os.getpid() + 1))
write(os.getpid())
print("up", flush=True)
sys.stdin.read()
"""


def test_stop_does_not_kill_the_program_that_was_started_right_after_the_one_it_stopped(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RBEE_HOME", str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", SUCCESSION], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "up\n"
        monkeypatch.setattr(apart, "patience_s", lambda _: 5.0)
        ended = apart.end(Context({}), "hive")
        assert (ended.pid, process.poll()) == (process.pid, None)
        process.stdin.close()
    assert process.returncode == 0


def test_a_hive_is_given_the_time_that_its_workers_have_for_open_requests(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RBEE_HOME", str(tmp_path))
    assert apart.patience_s(Context({"worker.drain_s": "300"})) > 303
    folders.config_file.write_text("worker = 1\n", encoding="utf-8")
    assert apart.patience_s(Context({})) > 13
    assert "worker" in capsys.readouterr().err


DRAINING = """
import os, signal, sys, time
from rbee.cli.colony import ColonyFiles, ColonyRecord
from rbee.settings import Folders

files = ColonyFiles(Folders.locate(os.environ))
assert files.life.exclusive(1)

def end(*_):
    time.sleep(float(sys.argv[1]))
    print("drained", flush=True)
    sys.exit(0)

def replace(*_):
    files.write(ColonyRecord(pid=os.getpid() + 1, **urls))

urls = dict(registry_url="http://127.0.0.1:1", queen_url="http://127.0.0.1:1", hive_url="http://127.0.0.1:1",
            started_at=time.time())
signal.signal(signal.SIGTERM, replace if sys.argv[1] == "replaced" else end)
files.write(ColonyRecord(pid=os.getpid(), **urls))
print("up", flush=True)
sys.stdin.read()
"""


def running(files: ColonyFiles, how: str) -> tuple[subprocess.Popen[str], ColonyRecord]:
    process = subprocess.Popen(
        [sys.executable, "-c", DRAINING, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "up\n"
    return process, files.read()


def test_down_gives_a_colony_the_time_that_its_workers_have_for_open_requests(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RBEE_HOME", str(tmp_path))
    monkeypatch.setattr(ending, "_ORDER_S", 0.1)
    files = ColonyFiles(folders)
    process, record = running(files, "1")
    with process:
        down._stop(Context({"worker.drain_s": "30"}), files, record)
        assert process.stdout.read() == "drained\n", "it was not killed"
        process.stdin.close()
    assert process.returncode == 0


def test_down_does_not_kill_the_colony_that_was_started_right_after_the_one_it_stopped(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RBEE_HOME", str(tmp_path))
    files = ColonyFiles(folders)
    process, record = running(files, "replaced")
    with process:
        down._stop(Context({}), files, record)
        assert process.poll() is None
        process.stdin.close()
    assert process.returncode == 0


def test_what_outlives_its_killing_is_an_error_that_names_it(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RBEE_HOME", str(tmp_path))
    monkeypatch.setattr(ending, "_KILLED_S", 0.1)
    files = ColonyFiles(folders)
    process, _ = running(files, "60")
    # The lock is held by a process that nobody tells to end.
    with process, subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as another:
        with pytest.raises(RbeeError, match=rf"The colony \(process {another.pid}\) does not end"):
            ending.end_process(NoRecord(files), another.pid, "The colony", 0.1, asked=False)
        process.kill()


class NoRecord:
    """The lock of a home whose record is gone."""

    def __init__(self, files: ColonyFiles) -> None:
        self.life = files.life

    def peek(self) -> None: ...
