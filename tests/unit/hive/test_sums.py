"""Checksums that a vendor does not give."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from pathlib import Path

import pytest
from rbee.catalog.cancel import Cancel
from rbee.contract.errors import CancelledByCallerError, NotFoundError
from rbee.hive import sums
from rbee.hive.sums import Checksums, FileState, state_of

DATA = b"x" * 3_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "m.gguf"
    made.write_bytes(DATA)
    return made


class Reading:
    """Stands before the reading of files: holds it up, and counts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = 0
        self.gate = threading.Event()
        self._read = sums._sha256
        monkeypatch.setattr(sums, "_sha256", self._held)

    def _held(self, state: FileState, cancel: Cancel) -> str:
        self.begun += 1
        while not self.gate.wait(0.005):
            cancel.raise_if_cancelled()
        return self._read(state, cancel)


async def test_two_who_ask_for_one_file_share_its_reading(path: Path, monkeypatch) -> None:
    reading, checksums = Reading(monkeypatch), Checksums()
    asked = [asyncio.create_task(checksums.of(path)) for _ in range(3)]
    await asyncio.sleep(0.05)
    # Who leaves takes the reading from nobody.
    asked[0].cancel()
    reading.gate.set()
    found = await asyncio.gather(*asked[1:])
    state = state_of(path)
    assert found == [(state, hashlib.sha256(DATA).hexdigest())] * 2
    assert checksums.known(state) == found[0][1]
    await checksums.of(path)
    assert reading.begun == 1
    await checksums.close()


async def test_a_file_that_was_written_since_is_read_anew(path: Path) -> None:
    checksums = Checksums()
    await checksums.of(path)
    path.write_bytes(b"another")
    assert (await checksums.of(path))[1] == hashlib.sha256(b"another").hexdigest()
    await checksums.close()


async def test_what_changes_while_it_is_read_has_no_checksum(path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"'m\.gguf' has changed while it was read"):
        sums._sha256(FileState(str(path), len(DATA), 1), Cancel())
    with pytest.raises(NotFoundError, match="cannot be read here"):
        await Checksums().of(path.with_name("gone"))


async def test_the_end_of_the_program_ends_a_reading(path: Path, monkeypatch) -> None:
    reading, checksums = Reading(monkeypatch), Checksums()
    asked = asyncio.create_task(checksums.of(path))
    while not reading.begun:
        await asyncio.sleep(0.005)
    await checksums.close()
    for late in (asked, checksums.of(path)):
        with pytest.raises(CancelledByCallerError):
            await late


async def test_a_disk_that_hangs_holds_up_no_end(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sums, "_LEAVE_S", 0.05)
    # Opened, it waits for a writer who does not come.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    checksums = Checksums()
    asked = asyncio.create_task(checksums.of(pipe))
    await asyncio.sleep(0.05)
    await checksums.close()
    assert asked.cancelled() or isinstance((await asyncio.gather(asked, return_exceptions=True))[0], BaseException)
    # Lets the thread end.
    os.close(os.open(pipe, os.O_WRONLY))


async def test_only_so_many_are_remembered(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sums, "_REMEMBERED", 2)
    checksums, states = Checksums(), []
    for name in "abc":
        (tmp_path / name).write_text(name)
        states.append((await checksums.of(tmp_path / name))[0])
    assert [checksums.known(state) is not None for state in states] == [False, True, True]
    await checksums.close()
