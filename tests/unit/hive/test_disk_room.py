"""Room for models on a disk."""

from __future__ import annotations

import asyncio
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from rbee.contract.amounts import SPARE_BYTES
from rbee.hive.disk_room import DiskRoom


async def test_what_is_left_untouched_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = DiskRoom(tmp_path)
    assert room.free_bytes is None
    await room.look()
    assert room.free_bytes is not None
    for free, left in ((SPARE_BYTES + 5, 5), (SPARE_BYTES - 5, 0)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _folder, free=free: SimpleNamespace(free=free))
        await room.look()
        assert room.free_bytes == left
    room.close()


async def test_a_folder_that_is_gone_is_unknown(tmp_path: Path) -> None:
    room = DiskRoom(tmp_path / "gone")
    await room.look()
    assert room.free_bytes is None
    room.close()


async def test_a_disk_that_hangs_keeps_nobody_waiting_and_counts_when_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, asked = threading.Event(), []

    def usage(folder: Path) -> SimpleNamespace:
        asked.append(folder)
        gate.wait(10)
        return SimpleNamespace(free=SPARE_BYTES + 7)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    room = DiskRoom(tmp_path)
    await room.look()
    await room.look()
    assert (room.free_bytes, asked) == (None, [tmp_path]), "it is not asked again while it does not answer"
    gate.set()
    async with asyncio.timeout(10):
        while room.free_bytes != 7:
            await room.look()
    room.close()
