"""A worker's process: its end is told, and dropping its handle does not bring it about."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
from rbee.hive.process import ChildProcess


async def test_its_end_is_told_to_all_who_wait_and_to_who_asks_later(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as output:
        process = ChildProcess.start(
            [sys.executable, "-c", "import os; print(os.environ['X']); print(os.getsid(0)); raise SystemExit(3)"],
            {"X": "told"},
            output,
        )
    impatient = asyncio.create_task(process.wait())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait([impatient])
    assert impatient.cancelled()
    assert await asyncio.gather(process.wait(), process.wait()) == [3, 3]
    assert (process.returncode, await process.wait()) == (3, 3)
    assert (tmp_path / "out").read_text(encoding="utf-8").split() == ["told", str(process.pid)]


async def test_the_signal_that_ended_it_is_told(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as output:
        process = ChildProcess.start([sys.executable, "-c", "import time; time.sleep(60)"], dict(os.environ), output)
    assert process.returncode is None
    os.kill(process.pid, signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL


def test_a_program_may_end_before_a_worker_does(tmp_path: Path) -> None:
    code = """
import asyncio, os, sys
from rbee.hive.process import ChildProcess
async def main():
    with open(sys.argv[1], "wb") as output:
        process = ChildProcess.start([sys.executable, "-c", "import time; time.sleep(60)"], dict(os.environ), output)
    print(process.pid)
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path / "out")],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    left = psutil.Process(int(done.stdout))
    try:
        assert left.is_running()
        assert left.status() != psutil.STATUS_ZOMBIE
    finally:
        left.kill()
        left.wait(10)
