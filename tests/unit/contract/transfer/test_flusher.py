"""Flushing beside the writing."""

from __future__ import annotations

import errno
import os
import threading

import pytest
from rbee.contract.transfer.flusher import Flusher

STEP = 64 * 1024 * 1024


@pytest.fixture
def fd(tmp_path):
    with (tmp_path / "part").open("wb") as stream:
        yield stream.fileno()


@pytest.fixture
def flushed(monkeypatch):
    """Waits until the system was asked to flush."""
    asked = threading.Semaphore(0)

    def sync(fd):
        os.fsync(fd)
        asked.release()

    monkeypatch.setattr("rbee.contract.transfer.flusher._SYNC", sync)
    return asked


def test_large_files_are_flushed_while_they_grow(fd, flushed):
    flusher = Flusher(fd, 0)
    for step in (1, 2):
        flusher.advance(step * STEP)
        assert flushed.acquire(timeout=10)
    flusher.end()
    assert not [one for one in threading.enumerate() if one.name == "rbee-transfer-flush"]


def test_small_files_and_small_rests_are_flushed_at_their_end(fd, flushed):
    flusher = Flusher(fd, 10 * STEP)
    flusher.advance(11 * STEP - 1)
    flusher.end()
    assert not flushed.acquire(blocking=False)
    flusher.flush()
    assert flushed.acquire(blocking=False)


def test_an_error_that_was_heard_on_the_way_is_told_at_the_end(fd, monkeypatch):
    heard = threading.Event()

    def broken(_fd):
        if not heard.is_set():
            heard.set()
            raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr("rbee.contract.transfer.flusher._SYNC", broken)
    flusher = Flusher(fd, 0)
    flusher.advance(STEP)
    assert heard.wait(10)
    flusher.end()
    with pytest.raises(OSError, match="broken"):
        flusher.flush()
