"""One file that others write: bounded, private, and cut only behind what was copied."""

from __future__ import annotations

import asyncio
import errno
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rbee.logs import Rotation, is_program_log, private

MIB = 1024 * 1024


def fill(path: Path, letter: str, size: int = MIB + 1) -> bytes:
    data = (letter * (size - 1) + "\n").encode("ascii")
    with path.open("ab") as file:
        file.write(data)
    return data


def named(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queen.log"


WRITER = "import os, sys\nfor line in sys.stdin: os.write(1, line.encode() * 20_000)"


@pytest.fixture
def writer(path: Path) -> Iterator[subprocess.Popen]:
    """A process that repeats each line it is given until they are more than a MiB."""
    with (
        open(path, "ab", opener=private) as output,
        subprocess.Popen([sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=output, text=True) as process,
    ):
        yield process
        process.stdin.close()


async def test_a_file_is_kept_small_while_a_process_writes_into_it(path: Path, writer: subprocess.Popen) -> None:
    older = path.with_name("queen.log.1")
    keeping = asyncio.create_task(Rotation(max_mb=1, files=2).keep(path))
    try:
        async with asyncio.timeout(30):
            for number in range(2):
                writer.stdin.write(f"{number}{'x' * 80}\n")
                writer.stdin.flush()
                while path.stat().st_size or not older.exists() or not older.read_bytes().startswith(b"%dx" % number):
                    await asyncio.sleep(0.01)
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
    assert named(path.parent) == {"queen.log", "queen.log.1"}
    assert older.stat().st_size == 20_000 * 82


def test_what_is_written_while_it_is_copied_is_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rotation = Rotation(max_mb=1, files=3)
    data = fill(path, "a")
    meanwhile = b""

    def shift(which: Path) -> None:
        nonlocal meanwhile
        meanwhile = fill(which, "b", 3 * MIB)

    monkeypatch.setattr(rotation, "_shift", shift)
    assert rotation.rotate(path)
    assert path.with_name("queen.log.1").read_bytes() == data + meanwhile


def test_two_who_rotate_one_file_at_once_lose_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rotation = Rotation(max_mb=1, files=3)
    data = fill(path, "a")
    copying, go_on, done = threading.Event(), threading.Event(), []
    real = shutil.copyfileobj

    def slow(*arguments) -> None:
        copying.set()
        go_on.wait(20)
        real(*arguments)

    monkeypatch.setattr(shutil, "copyfileobj", slow)
    both = [threading.Thread(target=lambda: done.append(rotation.rotate(path))) for _ in range(2)]
    both[0].start()
    assert copying.wait(20)
    both[1].start()
    # The second one is at the door, or has come in already if there is none.
    both[1].join(0.3)
    go_on.set()
    for one in both:
        one.join(20)
    assert sorted(done) == [False, True]
    assert named(path.parent) == {"queen.log", "queen.log.1"}
    assert path.with_name("queen.log.1").read_bytes() == data


def test_on_a_full_disk_no_half_copy_stays_and_the_log_is_cut_in_the_end(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_source, copy, _size) -> None:
        copy.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    rotation = Rotation(max_mb=1, files=3)
    fill(path, "a", 4 * MIB)
    assert [rotation.rotate(path) for _ in range(2)] == [False, False]
    assert (named(path.parent), path.stat().st_size) == ({"queen.log"}, 4 * MIB)
    fill(path, "b", 1)
    assert rotation.rotate(path)
    assert (named(path.parent), path.stat().st_size) == ({"queen.log"}, 0)
    assert caplog.text.count("cannot be copied") == 1


@pytest.mark.parametrize("name", ["colony", "registry", "queen", "hive", "Queen"])
def test_names_of_programs_logs_are_known_however_they_are_written(name: str) -> None:
    assert is_program_log(name)
    assert not is_program_log(f"{name}-7b")
