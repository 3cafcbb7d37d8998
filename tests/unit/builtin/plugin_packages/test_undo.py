"""An environment is as it was, whatever an installer had come to when it was ended."""

from __future__ import annotations

import os
import signal
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from rbee.builtin.plugin_packages.place import Place
from rbee.builtin.plugin_packages.undo import Undo, uninterrupted


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def files(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture
def where(tmp_path: Path) -> Place:
    packages = tmp_path / "env" / "lib"
    write(packages, space__a="old", other="kept", old="1")
    info = packages / "old-1.dist-info"
    write(info, METADATA="Metadata-Version: 2.1\nName: old\nVersion: 1\n")
    (info / "RECORD").write_text("old,,\nold-1.dist-info/METADATA,,\nold-1.dist-info/RECORD,,\n../bin/old,,\ngone,,\n")
    write(tmp_path / "env" / "bin", old="program")
    return Place(
        python="python", prefix=tmp_path / "env", packages=(packages,), scripts=tmp_path / "env" / "bin", managed=False
    )


def old(where: Place) -> Distribution:
    (found,) = distributions(path=[str(where.packages[0])])
    return found


def test_new_files_go_and_replaced_ones_are_back(where: Place, tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    write(
        staged, new__deep__b="x", space__b="new", space__a="new", bin__tool="x", bin__old="2", share__man="x", old="2"
    )
    write(staged, **{".lock": ""})
    before = files(where.prefix)
    undo = Undo(where, staged, [old(where)], tmp_path / "copies")
    packages = where.packages[0]
    write(packages, new__deep__b="x", new__deep__compiled="x", space__b="new", space__a="new", old="2")
    write(where.prefix, bin__tool="x", bin__old="2", share__man="x")
    write(packages, **{"somebody-else": "now"})
    (packages / "old-1.dist-info" / "RECORD").unlink()
    undo.back()
    assert files(where.prefix) == {**before, "lib/somebody-else": "now"}
    assert not (packages / "new").exists()
    undo.back()
    assert files(where.prefix) == {**before, "lib/somebody-else": "now"}


def test_what_was_not_even_begun_is_no_trouble(where: Place, tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    write(staged, new="x")
    before = files(where.prefix)
    Undo(where, staged, [], tmp_path / "copies").back()
    Undo(where, None, [old(where)], tmp_path / "copies2").back()
    assert files(where.prefix) == before


def test_ctrl_c_waits_while_it_goes_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with uninterrupted():
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
