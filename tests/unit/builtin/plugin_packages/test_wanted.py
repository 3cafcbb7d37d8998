"""What a word of the command line means."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.tags import sys_tags
from rbee.builtin.plugin_packages.tools import Artefact, file_of
from rbee.builtin.plugin_packages.uv_tool import best_wheel
from rbee.builtin.plugin_packages.wanted import wanted_of
from rbee.contract.errors import InvalidRequestError


@pytest.mark.parametrize("word", ["rbee-foo", "rbee-foo[engine]<2,>=1", "Rbee_Foo"])
def test_a_word_without_a_path_is_a_name(word: str) -> None:
    found = wanted_of(word)
    assert (found.name, found.requirement, found.is_source) == ("rbee-foo", word, False)


def test_a_wheel_and_a_source_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wheel = tmp_path / "rbee_foo-1.0-py3-none-any.whl"
    wheel.touch()
    found = wanted_of(f"{wheel.name}[engine]")
    assert found.requirement == f"rbee-foo[engine] @ {wheel.as_uri()}"
    (tmp_path / "pyproject.toml").touch()
    assert wanted_of(".").is_source
    assert wanted_of(".[engine]").extras == "[engine]"
    (tmp_path / "rbee_foo-1.0.tar.gz").touch()
    assert wanted_of("rbee_foo-1.0.tar.gz").path == tmp_path / "rbee_foo-1.0.tar.gz"


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("rbee", "'rbee' is rbee itself"),
        ("RBEE>=1", "is rbee itself"),
        ("./rbee-1.0-py3-none-any.whl", "is rbee itself"),
        ("./x.whl", "is no wheel"),
        ("./x.txt", "is neither a wheel nor the source"),
        ("./nothing", "There is no 'nothing'"),
        ("./folder", "has no pyproject.toml"),
        ("not a name", "is no package"),
        ("--help-me", "is no package"),
        ("rbee-x; python_version > '3'", "no condition"),
        ("rbee-x @ https://example.com/x.whl", "has an address in it"),
        ("git+https://example.com/x", "has an address in it"),
    ],
)
def test_anything_else_is_told(word: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("rbee-1.0-py3-none-any.whl", "x.whl", "x.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidRequestError) as caught:
        wanted_of(word)
    assert told in caught.value.message


def test_the_wheel_that_suits_this_python_best_is_taken() -> None:
    best = next(sys_tags())
    url = "https://files.example/a/x-1.0-{}.whl#part"
    plain = {"url": url.format("py3-none-any"), "hashes": {"sha256": "aa"}}
    own = {"url": url.format(best), "hashes": {"sha256": "bb"}}
    other = {"name": "x-1.0-cp27-none-beos.whl", "hashes": {"sha256": "cc"}}
    unhashed = {"url": url.format(best), "hashes": {"md5": "dd"}}
    assert best_wheel([plain, other, unhashed, {"url": "x.txt"}]) == ("x-1.0-py3-none-any.whl", "aa")
    assert best_wheel([plain, own, other]) == (f"x-1.0-{best}.whl", "bb")
    assert best_wheel([other, unhashed]) is None
    assert file_of("https://files.example/a/x%2B1.whl#sha256=1") == "x+1.whl"


def test_a_pin_fits_one_file() -> None:
    artefact = Artefact(name="x", version="1", file="x-1-py3-none-any.whl", sha256="aa")
    assert artefact.pinned == "x==1 --hash=sha256:aa"
    given = Artefact(name="x", version="1", file="x-1-py3-none-any.whl", sha256="aa", path=Path("/a b/x.whl"))
    assert given.pinned == "x @ file:///a%20b/x.whl --hash=sha256:aa"
