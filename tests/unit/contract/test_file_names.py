"""What files of a model may be called."""

from __future__ import annotations

import time

import pytest
from rbee.contract import ModelFile
from rbee.contract.errors import ModelFileError
from rbee.contract.file_names import check_names


def check(*names):
    check_names("m", [ModelFile(name=name) for name in names])


@pytest.mark.parametrize(
    "names",
    [
        ["model.gguf"],
        ["a/b.json", "a/c.json", "b.json"],
        ["x.part"],
        ["x.part1", "x.part2"],
        [".gitattributes", "x.rbee.json", "a/.rbee.json"],
        ["model-00001-of-00002.gguf", "model-00002-of-00002.gguf"],
        ["Ünïcode.gguf"],
    ],
)
def test_ordinary_names_are_fine(names):
    check(*names)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "/etc/passwd", "a/../../b", "../b", "a\\b", "a//b", "a/./b", "a\x00b", "a\nb", "a/", "\ud800"],
)
def test_a_name_that_leaves_the_folder_is_refused(name):
    with pytest.raises(ModelFileError, match=r"^Model 'm' has a file called .* refused\.$"):
        check("fine", name)


@pytest.mark.parametrize("name", [".rbee.json", ".rbee.json.new", ".RBEE.json", ".rbee.json/x", ".rbee.json2"])
def test_rbees_own_names_are_refused(name):
    with pytest.raises(ModelFileError, match="rbee's own"):
        check("fine", name)


@pytest.mark.parametrize(
    "name", ["x.blob.part", "x.blob.part.json", "x.blob.part.json.new", "X.Blob.PART", "x.blob.part/y", "x.blob/y"]
)
@pytest.mark.parametrize("reverse", [False, True])
def test_a_file_in_the_way_of_another_one_is_refused(name, reverse):
    names = ["x.blob", name]
    with pytest.raises(ModelFileError, match=r"lies where 'x\.blob' does, or does while unfinished"):
        check(*(reversed(names) if reverse else names))


@pytest.mark.parametrize(
    "pair", [("a", "a"), ("a", "A"), ("stra\u00dfe", "STRASSE"), ("\u00e9", "e\u0301"), ("d/A", "D/a")]
)
def test_two_names_that_some_file_system_takes_for_one_are_refused(pair):
    with pytest.raises(ModelFileError, match="twice"):
        check(*pair)


def test_many_and_long_names_are_soon_checked():
    began = time.monotonic()
    check(*(f"folder-{number}/model.part-{number}.gguf" for number in range(10_000)), "x" + ".part" * 800)
    assert time.monotonic() - began < 2
