"""Locks, against a real second process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rbee.cli.locks import FileLock

HOLDER = """
import pathlib, sys
from rbee.cli.locks import FileLock
lock = FileLock(pathlib.Path(sys.argv[1]))
print(lock.try_exclusive() if sys.argv[2] == "alone" else lock.shared(0), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen]]:
    started = []

    def hold(how: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path / "lock"), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "True\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def test_who_has_it_alone_keeps_others_out_until_it_dies(holder, tmp_path: Path) -> None:
    other = holder("alone")
    lock = FileLock(tmp_path / "lock")
    assert lock.try_exclusive() is False
    assert lock.shared(0) is False
    other.kill()
    other.wait()
    assert lock.try_exclusive() is True
    lock.release()


def test_sharers_keep_out_only_who_wants_it_alone(holder, tmp_path: Path) -> None:
    holder("shared")
    lock = FileLock(tmp_path / "lock")
    assert lock.try_exclusive() is False
    assert lock.shared(0) is True
    lock.release()


def test_letting_go_twice_is_harmless_and_leaves_the_file(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    assert lock.try_exclusive() is True
    lock.release()
    lock.release()
    assert (tmp_path / "lock").exists()
    again = FileLock(tmp_path / "lock")
    assert again.try_exclusive() is True
    again.release()
