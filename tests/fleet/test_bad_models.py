"""Models that cannot be had: one clear line each, exit code 1, nothing left."""

from importlib.resources import as_file, files

import pytest
from fleet.conftest import one_line


@pytest.fixture(scope="module")
def whole():
    """A good model file."""
    (found,) = [one for one in files("rbee_demo").joinpath("data").iterdir() if one.name.endswith(".gguf")]
    with as_file(found) as path:
        yield path.read_bytes()


def refused(colony, *args):
    done = colony.cli("run", *args)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    return one_line(done.stderr)


@pytest.mark.parametrize("keep", [0.5, 0.99, 0.001], ids=["half", "nearly whole", "its first bytes"])
def test_a_truncated_model_file(shared_colony, tmp_path, whole, keep):
    path = tmp_path / "cut.gguf"
    path.write_bytes(whole[: int(len(whole) * keep)])
    line = refused(shared_colony, str(path), "x")
    assert "cut.gguf" in line


def test_a_whole_model_file_is_used_where_it_is(shared_colony, tmp_path, whole):
    path = tmp_path / "whole.gguf"
    path.write_bytes(whole)
    done = shared_colony.cli("run", str(path), "Who are you?", "--temperature", "0")
    assert done.stdout.startswith("I am a tiny language model")


def test_a_file_that_is_no_model(shared_colony, tmp_path):
    (tmp_path / "notes.gguf").write_text("just some notes, nothing to load\n" * 50)
    line = refused(shared_colony, str(tmp_path / "notes.gguf"), "x")
    assert "notes.gguf" in line
    assert "GGUF" in line


def test_a_path_where_nothing_is(shared_colony, tmp_path):
    assert str(tmp_path / "none.gguf") in refused(shared_colony, str(tmp_path / "none.gguf"), "x")


def test_an_unknown_name_gets_a_suggestion(shared_colony):
    assert "'demo'" in refused(shared_colony, "demi", "x")


def test_a_model_that_fails_to_load_can_be_asked_again_and_says_the_same(shared_colony):
    for _ in range(2):
        assert "fail=load" in refused(shared_colony, "echo:no?fail=load", "x")


def test_without_an_engine_for_the_format_the_line_has_the_install_command(make_home):
    home = make_home(environment={"RBEE_PLUGINS": "demo,local"})
    line = refused(home, "demo", "x")
    assert "pip install 'rbee[gguf]'" in line
    home.nothing_left()


def test_a_bad_file_without_a_colony_leaves_nothing(home, tmp_path):
    (tmp_path / "notes.gguf").write_text("just some notes\n" * 50)
    refused(home, str(tmp_path / "notes.gguf"), "x")
    home.nothing_left()
