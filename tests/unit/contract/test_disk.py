"""Errors of the disk for people."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from rbee.contract.disk import check_room, file_error
from rbee.contract.errors import ConfigurationError, InsufficientDiskError


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EACCES, "the right to write"),
        (errno.EROFS, "the right to write"),
        (errno.ENOENT, "see that it is there"),
        (errno.EISDIR, "move that away"),
        (errno.EFBIG, "no files that large"),
        (errno.ENAMETOOLONG, "no names that long"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EIO, "Check that disk"),
        (errno.ENOSYS, "Check that disk"),
    ],
)
def test_every_error_names_the_folder_and_says_what_to_do(number, advice):
    error = file_error(Path("/models/m"), "m.gguf", OSError(number, os.strerror(number)))
    assert isinstance(error, ConfigurationError)
    assert f"'m.gguf' cannot be written or read in '/models/m' ({os.strerror(number)})" in error.message
    assert advice in error.message


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_as_one(number):
    error = file_error(Path("/models/m"), "m.gguf", OSError(number, "x"))
    assert isinstance(error, InsufficientDiskError)
    assert "Make room" in error.message


def test_an_error_without_a_number_is_told_in_its_words():
    assert "(the wire is out)" in file_error(Path("/m"), "f", OSError("the wire is out")).message


def test_room_in_a_folder_that_is_gone_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match="see that it is there"):
        check_room(tmp_path / "gone", "f", 1, 0)
