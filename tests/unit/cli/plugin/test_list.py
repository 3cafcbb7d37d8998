"""`rbee plugin list` tells what `rbee plugins` tells, and also where a plugin keeps that from telling anything."""

from __future__ import annotations

import json

from unit.cli.plugin.environment import Environment


def test_it_tells_the_same_as_plugins(env: Environment) -> None:
    env.put(env.add())
    env.put(env.add("rbee-broken", plugin="broken", code="import nothing_of_the_kind"))
    for more in ({}, {"RBEE_PLUGINS": ""}, {"RBEE_PLUGINS": "hello,nowhere"}):
        listed, plugins = env.rbee("plugin", "list", "--json", **more), env.rbee("plugins", "--json", **more)
        assert listed.returncode == plugins.returncode
        told = json.loads(listed.stdout)["plugins"]
        points = [one.pop("entry_point") for one in told]
        assert points[:3] == ["rbee.builtin.plugin", "rbee_broken", "rbee_hello"]
        assert told == json.loads(plugins.stdout)["plugins"]


def test_a_plugin_that_ends_python_is_told_and_hides_no_other(env: Environment) -> None:
    env.put(env.add())
    env.put(env.add("rbee-broken", "3.1", plugin="broken", code="import os; os._exit(7)"))
    done = env.rbee("plugin", "list")
    assert done.returncode == 1
    rows = {line.split()[2]: line for line in done.stdout.splitlines()[1:]}
    assert set(rows) == {"builtin", "broken", "hello"}
    assert rows["broken"].split()[:5] == ["rbee-broken", "3.1", "broken", "rbee_broken", "failed"]
    assert "cannot be listed" in rows["broken"]
    assert rows["hello"].split()[-3:] == ["loaded", "command:", "hello"]
    safe = env.rbee("plugin", "list", RBEE_PLUGINS="")
    assert safe.returncode == 0
    assert safe.stdout.count("skipped") == 2
