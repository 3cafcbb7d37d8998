"""Loading plugins: a broken one breaks only itself."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
from rbee.contract.wire import JobEvent
from rbee.plugins import PluginRecord, Plugins, load_plugins

OURS = ("balanced", "least-loaded", "most-vram-free", "round-robin", "seed")
HEAD = 'from rbee.contract import Policy, hookimpl\nRBEE_CONTRACT = ">=0.3,<0.4"\nSEEN = []\n'
POLICY = """
class Mine(Policy):
    name = {name!r}

    def rank(self, workers, request):
        return workers
"""
REGISTER = """
@hookimpl
def rbee_register(register):
    register.policy(Mine)
"""
OBSERVE = """
@hookimpl
def rbee_job_event(event):
    SEEN.append(event)
"""
EVENT = JobEvent(type="done", job_id="job-1", emitted_at_ms=1)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], EntryPoint]]:
    """Writes a module and gives the entry point that names it."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def write(name: str, text: str, *, point: str | None = None) -> EntryPoint:
        module = f"unit_plugin_{name}"
        (tmp_path / f"{module}.py").write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        made.append(module)
        return EntryPoint(name=point or name, value=module, group="rbee")

    yield write
    for module in made:
        sys.modules.pop(module, None)


def own() -> list[EntryPoint]:
    return [point for point in entry_points(group="rbee") if point.name == "builtin"]


def load(*points: EntryPoint, allowed: str | None = None) -> Plugins:
    return load_plugins(allowed, found=lambda: [*points, *own()])


def record(plugins: Plugins, name: str) -> PluginRecord:
    return next(one for one in plugins.records if one.name == name)


def good(name: str) -> str:
    return HEAD + POLICY.format(name=name) + REGISTER


def test_a_plugin_registers_and_is_on_record(make) -> None:
    plugins = load(make("good", good("mine")))
    found = record(plugins, "good")
    assert (found.status, found.error, found.registered) == ("loaded", None, {"policy": ("mine",)})
    assert plugins.registrations.policies.get("mine").name == "mine"


BROKEN = {
    "import": ("import a_module_that_is_nowhere", "ModuleNotFoundError"),
    "syntax": ("def", "SyntaxError"),
    "raise": ("raise RuntimeError('no driver')", "no driver"),
    "exit": ("raise SystemExit(3)", "SystemExit"),
    "no_version": (good("x").replace("RBEE_CONTRACT", "OTHER"), "does not state RBEE_CONTRACT"),
    "old_version": (good("x").replace(">=0.3,<0.4", "<0.1"), "supports contract <0.1"),
    "new_version": (good("x").replace(">=0.3,<0.4", ">=2"), "supports contract >=2"),
    "odd_version": (good("x").replace(">=0.3,<0.4", "one or so"), "one or so"),
    "number_version": (good("x").replace('">=0.3,<0.4"', "1.0"), "RBEE_CONTRACT = 1.0"),
    "unknown_hook": (good("x") + "\n@hookimpl\ndef rbee_dance(step): ...\n", "rbee_dance"),
    "wrong_argument": (good("x").replace("rbee_register(register)", "rbee_register(door)"), "door"),
    "raising_hook": (good("x") + "    raise ValueError('half way')\n", "half way"),
    "exiting_hook": (good("x") + "    raise SystemExit('bye')\n", "bye"),
    "not_a_policy": (HEAD + "class Mine: name = 'x'\n" + REGISTER, "no Policy"),
    "nameless": (good("x").replace("name = 'x'", "pass"), "with name None"),
    "bad_name": (good("a b"), "'a b'"),
    "abstract": (HEAD + "class Mine(Policy):\n    name = 'x'\n" + REGISTER, "rank"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_recorded_with_the_reason_and_the_others_load(make, kind: str) -> None:
    text, why = BROKEN[kind]
    plugins = load(make("after", good("second")), make("aaa_broken", text), make("before", good("first")))
    found = record(plugins, "aaa_broken")
    assert found.status == "failed"
    assert why in (found.error or "")
    assert found.registered == {}
    assert plugins.registrations.policies.names() == sorted(["first", "second", *OURS])


@pytest.mark.parametrize("kind", ["wrong_argument", "unknown_hook", "raising_hook"])
def test_a_plugin_that_failed_half_way_observes_nothing(make, kind: str) -> None:
    plugins = load(make("half", BROKEN[kind][0] + OBSERVE))
    assert record(plugins, "half").status == "failed"
    plugins.notify("rbee_job_event", event=EVENT)
    assert sys.modules["unit_plugin_half"].SEEN == []


def test_a_half_registered_plugin_gives_back_what_it_replaced(make) -> None:
    text = good("seed").replace("policy(Mine)", "policy(Mine, replace=True)") + "    raise ValueError\n"
    plugins = load(make("thief", text))
    assert plugins.registrations.policies.get("seed").__module__ == "rbee.builtin.policies.seed"
    assert record(plugins, "builtin").registered["policy"] == OURS


def test_a_duplicate_name_names_both_owners_and_the_first_keeps_it(make) -> None:
    plugins = load(make("anna", good("same")), make("berta", good("same")))
    error = record(plugins, "berta").error or ""
    assert "'anna'" in error
    assert "'berta'" in error
    assert plugins.registrations.policies.get("same").__module__ == "unit_plugin_anna"


def test_a_clash_with_core_makes_the_plugin_the_newcomer(make) -> None:
    plugins = load(make("aaa", good("seed")))
    assert record(plugins, "builtin").status == "loaded"
    assert "'builtin'" in (record(plugins, "aaa").error or "")


def test_replacing_on_purpose_is_allowed(make) -> None:
    plugins = load(make("mine", good("seed").replace("policy(Mine)", "policy(Mine, replace=True)")))
    assert plugins.registrations.policies.get("seed").__module__ == "unit_plugin_mine"


def test_two_distributions_with_one_plugin_name_keep_the_first(make) -> None:
    plugins = load(make("one", good("first"), point="twin"), make("two", good("second"), point="twin"))
    assert [found.status for found in plugins.records if found.name == "twin"] == ["loaded", "failed"]
    assert plugins.registrations.policies.names() == sorted(["first", *OURS])


def test_one_module_under_two_names_loads_once(make) -> None:
    point = make("one", good("first"))
    again = EntryPoint(name="two", value=point.value, group="rbee")
    plugins = load(point, again)
    assert (record(plugins, "one").status, record(plugins, "two").status) == ("loaded", "failed")
    assert plugins.registrations.policies.names() == sorted(["first", *OURS])


def test_only_allowed_plugins_are_imported(make) -> None:
    plugins = load(make("yes", good("a")), make("no", "raise AssertionError"), allowed=" yes ,absent")
    assert (record(plugins, "yes").status, record(plugins, "no").status) == ("loaded", "skipped")
    assert (record(plugins, "absent").status, record(plugins, "absent").distribution) == ("failed", None)
    assert "RBEE_PLUGINS" in record(plugins, "absent").error
    assert "unit_plugin_no" not in sys.modules


def test_the_safe_mode_keeps_core_alone(make) -> None:
    plugins = load(make("any", good("a")), allowed="")
    assert record(plugins, "any").status == "skipped"
    core = record(plugins, "builtin")
    assert (core.status, core.builtin, core.distribution) == ("loaded", True, "rbee")
    assert core.registered == {
        "engine": ("openai",),
        "model_vendor": ("openai", "url"),
        "worker_vendor": ("python",),
        "probe": ("host",),
        "presence_store": ("memory",),
        "policy": OURS,
    }


def test_the_order_of_discovery_does_not_matter(make) -> None:
    points = [make(name, good(name)) for name in ("c", "a", "b")]
    names = [[one.name for one in load(*order).records] for order in (points, points[::-1])]
    assert names[0] == names[1] == ["builtin", "a", "b", "c"]


def test_a_raising_observer_does_not_stop_the_others(make, caplog: pytest.LogCaptureFixture) -> None:
    bad = HEAD + "@hookimpl\ndef rbee_job_event(event):\n    raise RuntimeError('deaf')\n"
    plugins = load(make("a", HEAD + OBSERVE), make("b", bad), make("c", HEAD + OBSERVE))
    plugins.notify("rbee_job_event", event=EVENT)
    assert sys.modules["unit_plugin_a"].SEEN == sys.modules["unit_plugin_c"].SEEN == [EVENT]
    assert "'b'" in caplog.text


def test_an_observer_may_take_fewer_arguments(make) -> None:
    text = HEAD + "@hookimpl\ndef rbee_worker_telemetry(hive_id):\n    SEEN.append(hive_id)\n"
    plugins = load(make("a", text))
    plugins.notify("rbee_worker_telemetry", hive_id="h", sample=None)
    assert sys.modules["unit_plugin_a"].SEEN == ["h"]
