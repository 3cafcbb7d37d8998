"""`rbee plugin install` changes rbee's environment by exactly what was shown, or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import select
import shutil
import tarfile
from pathlib import Path

import pytest
from fleet.conftest import one_line
from fleet.terminal import Terminal
from unit.cli.plugin.environment import PLUGIN, Environment

ONLY_BESIDE = """
if "staged" not in __file__:
    raise RuntimeError("not in this place")
"""
STUCK_INSIDE = """
import pathlib, time
if "staged" not in __file__:
    pathlib.Path({mark!r}).write_text("here")
    time.sleep(600)
"""
BACKEND = """
import pathlib, shutil

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    (wheel,) = pathlib.Path(__file__).parent.glob("*.whl")
    shutil.copy(wheel, wheel_directory)
    return wheel.name
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "rbee-hello"
dynamic = ["version"]
"""


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refused(env: Environment, *args: str, **more: str) -> str:
    """The one line of an install that must change nothing."""
    before = env.files()
    done = env.rbee("plugin", "install", *args, **more)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert env.files() == before
    return one_line(done.stderr)


def test_a_plugin_is_installed_with_what_it_needs_and_each_hash_is_shown(both: Environment) -> None:
    wheels = [both.add(needs=("rbee", "speck-lib>=2")), both.add("speck-lib", "2.5", plugin=None, code="")]
    done = both.rbee("plugin", "install", "rbee-hello", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    for path in wheels:
        assert f"{path.name}\n    sha256:{sha256(path)}\n" in done.stderr
    assert "Plugin 'hello' of rbee-hello is installed. It brings: command: hello" in done.stderr
    assert "start them anew: rbee down && rbee up" in done.stderr
    told = json.loads(done.stdout)
    assert [(one["name"], one["version"], one["replaces"]) for one in told["installed"]] == [
        ("rbee-hello", "1.0", None),
        ("speck-lib", "2.5", None),
    ]
    assert [one["sha256"] for one in told["installed"]] == [sha256(path) for path in wheels]
    assert both.rbee("hello").stdout == "rbee-hello 1.0\n"
    again = both.rbee("plugin", "install", "rbee-hello", "--yes")
    assert (again.returncode, again.stdout) == (0, "")
    assert "rbee-hello: installed already" in again.stderr


def test_wheels_and_folders_are_installed_as_well(both: Environment, tmp_path: Path) -> None:
    apart = tmp_path / "apart"
    lib = both.add("speck-lib", "2.5", plugin=None, code="", into=apart)
    hello = both.add(needs=("speck-lib",), into=apart)
    done = both.rbee("plugin", "install", f"apart/{hello.name}", str(lib), "--yes")
    assert done.returncode == 0, done.stderr
    assert both.rbee("hello").stdout == "rbee-hello 1.0\n"
    source = tmp_path / "source"
    source.mkdir()
    (source / "pyproject.toml").write_text(PROJECT)
    (source / "backend.py").write_text(BACKEND)
    shutil.copy(both.add(version="2.0", into=apart), source)
    done = both.rbee("plugin", "install", "./source", "--yes")
    assert done.returncode == 0, done.stderr
    assert "Building a wheel of" in done.stderr
    assert "rbee-hello 2.0 (replaces 1.0)" in done.stderr
    assert both.rbee("hello").stdout == "rbee-hello 2.0\n"


def test_without_a_terminal_and_without_yes_it_is_only_shown(env: Environment) -> None:
    path = env.add()
    before = env.files()
    done = env.rbee("plugin", "install", "rbee-hello")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no terminal to ask on" in one_line(done.stderr)
    assert sha256(path) in done.stderr
    assert env.files() == before


def test_a_person_is_asked(env: Environment) -> None:
    env.add()
    before = env.files()
    terminal = Terminal(env, "plugin", "install", "rbee-hello")
    try:
        terminal.expect("sha256:")
        terminal.expect("Install? [y/N]")
        terminal.type("n\n")
        terminal.expect("Nothing was installed.")
        assert terminal.process.wait(30) == 1
    finally:
        terminal.close()
    terminal = Terminal(env, "plugin", "install", "rbee-hello")
    try:
        terminal.expect("Install? [y/N]")
        terminal.interrupt_until("Interrupted.")
        assert terminal.process.wait(30) == 130
    finally:
        terminal.close()
    assert env.files() == before
    terminal = Terminal(env, "plugin", "install", "rbee-hello")
    try:
        terminal.expect("Install? [y/N]")
        terminal.type("y\n")
        terminal.expect("is installed. It brings: command: hello")
        assert terminal.process.wait(30) == 0
    finally:
        terminal.close()


def test_a_file_that_is_another_by_then_is_refused(both: Environment) -> None:
    both.add()
    before = both.files()
    terminal = Terminal(both, "plugin", "install", "rbee-hello", columns=200)
    try:
        terminal.expect("Install? [y/N]")
        both.add(code=PLUGIN.format(command="hello", says="something else"))
        terminal.type("y\n")
        terminal.expect("rbee: ")
        terminal.expect("ash")
        assert terminal.process.wait(60) == 1
    finally:
        terminal.close()
    assert both.files() == before


@pytest.mark.parametrize("need", ["rbee>=99", "msgspec>=99"])
def test_what_rbee_needs_stays_as_it_is(both: Environment, need: str) -> None:
    both.add(needs=(need,))
    both.add("msgspec", "99.0", plugin=None, code="")
    told = refused(both, "rbee-hello", "--yes")
    assert "rbee-hello cannot be installed; what rbee and other packages need stays as it is" in told
    assert need.partition(">")[0] in told


def test_rbee_and_what_it_needs_cannot_be_meant(env: Environment) -> None:
    env.add("msgspec", "99.0", plugin=None, code="")
    env.add("rbee", "99.0", plugin=None, code="", into=env.folder)
    assert "is rbee itself" in refused(env, "rbee", "--yes")
    assert "is rbee itself" in refused(env, "./rbee-99.0-py3-none-any.whl", "--yes")
    assert "'msgspec' is no plugin" in refused(env, "msgspec", "--yes")
    assert "cannot be installed" in refused(env, "msgspec>=99", "--yes")


@pytest.mark.parametrize(
    ("code", "plugin", "told"),
    [
        ("", None, "'rbee-hello' is no plugin of rbee: it has no entry point of the group 'rbee'"),
        ("import nothing_of_the_kind", "hello", "does not load: ModuleNotFoundError: No module named"),
        ("", "hello", "does not state RBEE_CONTRACT"),
        ("import os; os._exit(7)", "hello", "The installed plugins cannot be listed"),
    ],
)
def test_what_is_no_plugin_or_does_not_load_is_not_kept(env, code: str, plugin: str | None, told: str) -> None:
    env.add(code=code, plugin=plugin)
    assert told in refused(env, "rbee-hello", "--yes")


def test_a_plugin_that_breaks_another_is_not_kept(env: Environment) -> None:
    env.add()
    env.add("rbee-early", plugin="early", code=PLUGIN.format(command="hello", says="mine"))
    assert env.rbee("plugin", "install", "rbee-hello", "--yes").returncode == 0
    told = refused(env, "rbee-early", "--yes")
    assert "With rbee-early the plugin 'hello' of 'rbee-hello' does not load any more" in told


def test_what_fails_only_when_it_is_installed_is_undone(both: Environment) -> None:
    code = PLUGIN.format(command="hello", says="new") + ONLY_BESIDE
    both.add(version="2.0", code=code, needs=("speck-lib",), files={"own/inner.txt": "x", "INFO/more.txt": "y"})
    both.add("speck-lib", "2.5", plugin=None, code="")
    assert "does not load: RuntimeError: not in this place" in refused(both, "rbee-hello", "--yes")
    both.add()
    assert both.rbee("plugin", "install", "rbee-hello<2", "--yes").returncode == 0
    assert "does not load: RuntimeError: not in this place" in refused(both, "rbee-hello>=2", "--yes")
    assert both.rbee("hello").stdout == "rbee-hello 1.0\n"


def test_ctrl_c_in_the_middle_leaves_nothing_behind(env: Environment, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    os.mkfifo(mark)
    reached = os.open(mark, os.O_RDONLY | os.O_NONBLOCK)
    code = PLUGIN.format(command="hello", says="new") + STUCK_INSIDE.format(mark=str(mark))
    env.add(code=code)
    before = env.files()
    terminal = Terminal(env, "plugin", "install", "rbee-hello", "--yes")
    try:
        terminal.expect("Installing into")
        assert select.select([reached], [], [], 60)[0]
        terminal.type("\x03")
        terminal.expect("Everything is as it was before.")
        terminal.expect("Interrupted.")
        assert terminal.process.wait(30) == 130
    finally:
        terminal.close()
        os.close(reached)
    assert env.files() == before


def test_a_source_on_an_index_is_not_run_to_be_looked_at(both: Environment, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    files = {
        "PKG-INFO": "Metadata-Version: 2.1\nName: rbee-hello\nVersion: 1.0\n",
        "pyproject.toml": PROJECT,
        "backend.py": f"import pathlib; pathlib.Path({str(mark)!r}).write_text('run')\n" + BACKEND,
    }
    with tarfile.open(both.wheels / "rbee_hello-1.0.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            about = tarfile.TarInfo(f"rbee_hello-1.0/{name}")
            about.size = len(text.encode())
            archive.addfile(about, io.BytesIO(text.encode()))
    assert "rbee-hello cannot be installed" in refused(both, "rbee-hello", "--yes")
    assert not mark.exists()


def test_what_cannot_be_meant_is_one_line(env: Environment) -> None:
    assert "rbee-nowhere cannot be installed" in refused(env, "rbee-nowhere", "--yes")
    assert "There is no 'nowhere'" in refused(env, "./nowhere", "--yes")
    assert "has no pyproject.toml" in refused(env, "./wheels", "--yes")


def test_without_an_installer_the_next_step_is_told(tmp_path: Path) -> None:
    env = Environment(tmp_path, "none")
    env.add()
    assert "neither is here. Bring one and try again: " in refused(env, "rbee-hello", "--yes")
