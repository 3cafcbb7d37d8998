"""Checksums of whole files."""

from __future__ import annotations

import hashlib

import pytest
from rbee.contract import ModelFile
from rbee.contract.checksums import content_key, has_checksum, matches, sha256_of
from rbee.contract.errors import CancelledByCallerError
from rbee.testing.cancel import Cancel

DATA = b"x" * 3_000_000


@pytest.fixture
def path(tmp_path):
    (tmp_path / "f").write_bytes(DATA)
    return tmp_path / "f"


def promised(data):
    return [
        ModelFile(name="f", sha256=hashlib.sha256(data).hexdigest()),
        ModelFile(name="f", git_oid=hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()),
    ]


def test_a_file_has_its_own_checksum_and_no_other(path):
    assert all(matches(path, file, Cancel()) for file in promised(DATA))
    assert not any(matches(path, file, Cancel()) for file in promised(DATA[1:]))
    assert matches(path, ModelFile(name="f"), Cancel())


def test_a_checksum_can_be_asked_for(path):
    assert sha256_of(path) == hashlib.sha256(DATA).hexdigest()


def test_reading_can_be_cancelled(path):
    cancel = Cancel()
    cancel.cancel()
    with pytest.raises(CancelledByCallerError):
        matches(path, promised(DATA)[0], cancel)
    with pytest.raises(CancelledByCallerError):
        sha256_of(path, cancel)


def test_content_is_told_apart_only_where_it_has_a_checksum():
    one, other = promised(DATA)
    assert content_key(one) != content_key(other)
    assert content_key(one) == content_key(ModelFile(name="g", sha256=one.sha256))
    assert content_key(ModelFile(name="f", size_bytes=3)) is None
    assert [has_checksum(file) for file in (one, other, ModelFile(name="f"))] == [True, True, False]
