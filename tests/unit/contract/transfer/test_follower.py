"""Checksums beside the writing."""

from __future__ import annotations

import hashlib
import threading

import pytest
from rbee.contract import ModelFile
from rbee.contract.errors import CancelledByCallerError, ConfigurationError
from rbee.contract.transfer.follower import Follower
from rbee.testing.cancel import Cancel
from unit.contract.transfer.stand_in import file_of, git_oid


@pytest.fixture
def path(tmp_path):
    return tmp_path / "part"


@pytest.mark.parametrize("right", [True, False])
def test_what_is_written_bit_by_bit_is_read_behind(path, content, right):
    path.write_bytes(b"")
    follower = Follower(path, file_of("f", content if right else content[::-1]), None)
    with path.open("ab", buffering=0) as stream:
        for start in range(0, len(content), 70_000):
            stream.write(content[start : start + 70_000])
            follower.advance(stream.tell())
    follower.ended(len(content))
    assert follower.result(Cancel()) is right


def test_bytes_are_hashed_before_the_last_one_has_come(path, content, monkeypatch):
    seen = threading.Event()
    real = hashlib.sha256

    class Telling:
        def __init__(self):
            self._real = real()
            self.hexdigest = self._real.hexdigest

        def update(self, block):
            self._real.update(block)
            seen.set()

    monkeypatch.setattr("rbee.contract.checksums.hashlib.sha256", Telling)
    path.write_bytes(content)
    follower = Follower(path, ModelFile(name="f", sha256=real(content).hexdigest()), None)
    follower.advance(1_500_000)
    assert seen.wait(10)
    follower.ended(len(content))
    assert follower.result(Cancel())


def test_a_git_id_is_a_checksum_too(path, content):
    path.write_bytes(content)
    follower = Follower(path, ModelFile(name="f", git_oid=git_oid(content)), len(content))
    follower.ended(len(content))
    assert follower.result(Cancel())


def test_a_file_that_became_shorter_is_an_error(path, content):
    path.write_bytes(content[:100])
    follower = Follower(path, file_of("f", content), None)
    follower.ended(len(content))
    with pytest.raises(ConfigurationError, match="shorter"):
        follower.result(Cancel())


def test_one_that_is_given_up_lets_go(path, content):
    path.write_bytes(content)
    cancel = Cancel()
    cancel.cancel()
    follower = Follower(path, file_of("f", content), None)
    follower.advance(100)
    with pytest.raises(CancelledByCallerError):
        follower.result(cancel)
    follower.give_up()
    assert not [one for one in threading.enumerate() if one.name == "rbee-transfer-checksum"]
