"""`rbee plugin remove` takes away plugins alone, and needs none of them to load."""

from __future__ import annotations

import json

import pytest
from fleet.conftest import one_line
from unit.cli.plugin.environment import Environment


def refused(env: Environment, *args: str) -> str:
    before = env.files()
    done = env.rbee("plugin", "remove", *args)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert env.files() == before
    return one_line(done.stderr)


@pytest.mark.parametrize("name", ["rbee-hello", "Rbee_Hello", "hello"])
def test_a_plugin_goes_by_its_name_or_its_package_s(env: Environment, name: str) -> None:
    env.add(needs=("rbee", "speck-lib"))
    env.add("speck-lib", "2.5", plugin=None, code="")
    assert env.rbee("plugin", "install", "rbee-hello", "--yes").returncode == 0
    done = env.rbee("plugin", "remove", name, "--json", RBEE_PLUGINS="")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"removed": ["rbee-hello"], "left": ["speck-lib"]}
    assert "rbee-hello 1.0 is removed" in done.stderr
    assert "Nothing else needs speck-lib" in done.stderr
    assert "start them anew" in done.stderr
    assert not list(env.packages.glob("rbee_hello*"))
    assert "There are: none." in refused(env, "hello")


def test_a_plugin_that_keeps_rbee_from_loading_any_goes_too(both: Environment) -> None:
    both.put(both.add("rbee-broken", plugin="broken", code="import os; os._exit(7)"))
    done = both.rbee("plugin", "remove", "broken")
    assert done.returncode == 0, done.stderr
    assert not list(both.packages.glob("rbee_broken*"))
    assert both.rbee("plugins").returncode == 0


def test_rbee_and_what_is_no_plugin_stay(env: Environment) -> None:
    assert "'rbee' is part of rbee itself" in refused(env, "rbee")
    assert "'builtin' is part of rbee itself" in refused(env, "builtin")
    assert "'msgspec' is no plugin of rbee" in refused(env, "msgspec")


def test_what_another_needs_stays(env: Environment) -> None:
    env.put(env.add())
    env.put(env.add("rbee-more", plugin="more", needs=("rbee-hello",)))
    assert "'rbee-hello' is needed by rbee-more" in refused(env, "hello")
    assert "Did you mean 'hello'?" in refused(env, "helo")


def test_of_two_packages_with_the_same_plugin_one_is_to_be_named(env: Environment) -> None:
    env.put(env.add())
    env.put(env.add("rbee-other"))
    assert "Several packages bring a plugin 'hello': rbee-hello, rbee-other." in refused(env, "hello")
    assert env.rbee("plugin", "remove", "rbee-other").returncode == 0


def test_what_lies_outside_of_the_environment_is_told(env: Environment) -> None:
    outside = env.folder / "outside"
    outside.mkdir()
    path = env.add()
    env.packages, inside = outside, env.packages
    env.put(path)
    (inside / "outside.pth").write_text(f"{outside}\n")
    assert "outside of rbee's environment" in refused(env, "hello")
    assert (outside / "rbee_hello.py").exists()
