"""Links are never written through."""

from __future__ import annotations

import os

import pytest
from rbee.contract.own_files import opened_to_append, remove_file, remove_shared, write_whole


@pytest.fixture
def other(tmp_path):
    path = tmp_path / "other"
    path.write_bytes(b"theirs")
    return path


@pytest.fixture(params=["hard", "symbolic"])
def linked(request, tmp_path, other):
    path = tmp_path / "mine"
    if request.param == "hard":
        path.hardlink_to(other)
    else:
        path.symlink_to(other)
    return path


def test_a_link_is_appended_to_as_a_file_of_its_own(linked, other):
    with opened_to_append(linked) as stream:
        stream.write(b"mine")
    assert (other.read_bytes(), linked.read_bytes()) == (b"theirs", b"mine")


def test_a_file_of_its_own_is_gone_on_with(tmp_path):
    for block in (b"one", b"two"):
        with opened_to_append(tmp_path / "f") as stream:
            stream.write(block)
    assert (tmp_path / "f").read_bytes() == b"onetwo"


def test_a_small_file_takes_the_place_of_a_link(linked, other, tmp_path):
    (tmp_path / "mine.new").symlink_to(other)
    write_whole(linked, b"mine")
    assert (other.read_bytes(), linked.read_bytes()) == (b"theirs", b"mine")
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "other"}


def test_a_folder_is_no_file_to_be_deleted(tmp_path):
    (tmp_path / "d").mkdir()
    remove_file(tmp_path / "d")
    assert (tmp_path / "d").is_dir()
    with pytest.raises(IsADirectoryError):
        remove_shared(tmp_path / "d")
    (tmp_path / "l").symlink_to(tmp_path / "d")
    remove_file(tmp_path / "l")
    remove_file(tmp_path / "l")
    assert not (tmp_path / "l").is_symlink()


def test_what_is_not_shared_stays(tmp_path):
    (tmp_path / "f").write_bytes(b"f")
    os.mkfifo(tmp_path / "pipe")
    for name in ("f", "pipe", "none"):
        remove_shared(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
