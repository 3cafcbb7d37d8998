"""The reference says what the code does."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from unittest.mock import Mock

import click
import pytest
from docs.reading import section
from litestar.handlers import HTTPRouteHandler
from prometheus_client.parser import text_string_to_metric_families
from rbee import contract
from rbee.cli.main import cli
from rbee.contract import hookspecs
from rbee.contract.engine import EngineStatus
from rbee.contract.errors import error_types
from rbee.contract.wire import (
    HIVE_OPERATIONS,
    Bench,
    HiveInstall,
    HiveLogs,
    HiveStart,
    HiveStop,
    HiveUninstall,
    HiveWork,
    Load,
    ModelPlan,
    ModelSearch,
    Unload,
)
from rbee.doors import DOOR_ROUTES
from rbee.hive.operations import Operations as HiveOperations
from rbee.http.errors import STATUS_BY_CODE
from rbee.http.front import OPENAI_POSTS
from rbee.observability import GatewayMetrics
from rbee.observability.collected import encode
from rbee.queen.operations import Forwards, Machines, RemoteHives
from rbee.queen.operations import Operations as QueenOperations
from rbee.settings import load_settings
from rbee.worker.figures import figures
from unit.observability.building import colony, record, refused

ABCS = {
    "Engine": "engine",
    "ServedEngine": "engine",
    "TokenEngine": "engine",
    "Tokenizer": "engine",
    "Constraint": "engine",
    "ModelVendor": "model-vendor",
    "HttpModelVendor": "model-vendor",
    "WorkerVendor": "worker-vendor",
    "Probe": "probe",
    "Policy": "policy",
    "PresenceStore": "presence-store",
    "Register": "hooks",
}

PROGRAMS = {"Queen": "queen", "Hive": "hive", "Registry": "registry", "Worker": "worker"}
DATA_PLANES = {"Queen", "Worker"}


def shown(value: object) -> str:
    """A default as the page writes it."""
    if value is None:
        return "unset"
    if value == ():
        return "none"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


def commands(group: click.Group, path: str = "rbee") -> dict[str, click.Command]:
    """Every command below a group by what a person types."""
    found: dict[str, click.Command] = {path: group}
    names = group.list_commands(click.Context(group))
    for name in names:
        one = group.get_command(click.Context(group), name)
        assert one is not None
        found |= commands(one, f"{path} {name}") if isinstance(one, click.Group) else {f"{path} {name}": one}
    return found


def signature(function: object, *, bound: bool) -> str:
    """``(a, b)`` as the pages write it, without what Python passes by itself."""
    names = list(inspect.signature(function).parameters)
    return f"({', '.join(names[1:] if bound else names)})"


def abstract_methods(name: str) -> dict[str, str]:
    """Names of a class's own abstract methods with their arguments."""
    cls = getattr(contract, name)
    methods = {}
    for method, raw in vars(cls).items():
        function = raw.__func__ if isinstance(raw, classmethod) else raw
        if method in cls.__abstractmethods__:
            methods[method] = signature(function, bound=True)
    return methods


def routes(module: str) -> set[str]:
    """Every route of a program as ``METHOD /path/{name}``."""
    handlers = [one for one in vars(importlib.import_module(module)).values() if isinstance(one, HTTPRouteHandler)]
    return {
        method + " " + re.sub(r"{(\w+):\w+}", r"{\1}", path)
        for handler in handlers
        for path in handler.paths
        for method in handler.http_methods - {"OPTIONS", "HEAD"}
    }


def program_routes(program: str) -> set[str]:
    module = f"rbee.{PROGRAMS[program]}.app"
    found = routes(module) | routes("rbee.http.openapi")
    if program in {"Queen", "Hive"}:
        found |= routes("rbee.http.jobs")
    if program == "Queen":
        for name in (
            "beehive_routes",
            "alias_routes",
            "ca_routes",
            "drain_routes",
            "explain_routes",
            "memory_routes",
            "metrics_routes",
        ):
            found |= routes(f"rbee.queen.{name}")
        found |= {f"{method} {path}" for method, path in DOOR_ROUTES}
    if program == "Hive":
        found |= routes("rbee.hive.catalog_routes")
    if program in DATA_PLANES:
        found |= {f"POST {path}" for path in OPENAI_POSTS}
    return found


def test_every_setting_stands_with_default_variable_and_meaning(docs: Path, tmp_path: Path) -> None:
    page = (docs / "reference" / "settings.md").read_text("utf-8")
    rows = {line for line in page.splitlines() if re.match(r"\| `\w+\.\w+` ", line)}
    expected = {
        f"| `{one.name}` | {shown(one.default)} | `{one.variable}` | {one.description} |"
        for one in load_settings(tmp_path / "config.toml", {}).describe()
    }
    assert rows == expected


def test_every_hook_stands_with_its_arguments(docs: Path) -> None:
    page = (docs / "plugins" / "hooks.md").read_text("utf-8")
    hooks = {name: one for name, one in vars(hookspecs).items() if name.startswith("rbee_")}
    headings = set(re.findall(r"^## `(rbee_\w+\(.*\))`$", page, re.MULTILINE))
    assert headings == {f"{name}{signature(one, bound=False)}" for name, one in hooks.items()}


@pytest.mark.parametrize("name", ABCS)
def test_every_abstract_method_stands_with_its_arguments(docs: Path, name: str) -> None:
    page = section((docs / "plugins" / f"{ABCS[name]}.md").read_text("utf-8"), f"## `{name}`")
    methods = abstract_methods(name)
    assert methods or name == "Engine"
    missing = [f"{method}{arguments}" for method, arguments in methods.items() if f"`{method}{arguments}`" not in page]
    assert not missing


def test_every_abstract_class_of_the_contract_has_a_page() -> None:
    abstract = {name for name in contract.__all__ if inspect.isabstract(getattr(contract, name))}
    assert abstract == set(ABCS)


def test_every_error_code_stands_with_its_status_and_class(docs: Path) -> None:
    page = (docs / "reference" / "errors.md").read_text("utf-8")
    rows = set(re.findall(r"^\| `([A-Z_]+)` \| (\d+) \| `(\w+)` \|", page, re.MULTILINE))
    assert set(error_types()) == set(STATUS_BY_CODE)
    assert rows == {(code, str(STATUS_BY_CODE[code]), cls.__name__) for code, cls in error_types().items()}


def test_every_command_stands_with_its_options_and_no_others(docs: Path) -> None:
    page = (docs / "reference" / "cli.md").read_text("utf-8")
    found = commands(cli)
    headings = set(re.findall(r"^#{2,} (rbee.*)$", page, re.MULTILINE))
    assert headings == set(found)
    for path, command in found.items():
        level = "#" * max(2, path.count(" ") + 1)
        table = "\n".join(line for line in section(page, f"{level} {path}").splitlines() if line.startswith("| `"))
        visible = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
        options = {name for one in visible for name in one.opts} | ({"--help", "-h"} if path == "rbee" else set())
        if not isinstance(command, click.Group) or path == "rbee":
            assert set(re.findall(r"`(-{1,2}[a-z][a-z-]*|-[A-Z])", table)) == options, path
        for argument in command.params:
            if isinstance(argument, click.Argument):
                assert argument.make_metavar(click.Context(command)).replace("|", "\\|") in table, path


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_route_of_a_program_stands_and_no_other(docs: Path, program: str) -> None:
    page = section((docs / "reference" / "http-api.md").read_text("utf-8"), f"## {program}")
    told = set(re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", page, re.MULTILINE))
    assert told == program_routes(program)


def test_every_metric_stands_with_its_labels_and_no_other(docs: Path) -> None:
    page = (docs / "reference" / "metrics.md").read_text("utf-8")
    told = {
        name: set(re.findall(r"`(\w+)`", labels))
        for name, labels in re.findall(r"^\| `(rbee:\w+)` \|([^|]*)\|", page, re.MULTILINE)
    }
    metrics = GatewayMetrics(colony)
    for one in (record(), refused()):
        metrics.observe(one)
    body, _ = encode(metrics.snapshot(), None)
    families = [family for family in text_string_to_metric_families(body.decode()) if family.name.startswith("rbee:")]
    exposed = {
        family.name + ("_total" if family.type == "counter" else ""): {
            label for sample in family.samples for label in sample.labels if label != "le"
        }
        for family in families
    }
    assert told == exposed


def test_operations_that_stand_as_there_are_there_with_their_fields(docs: Path) -> None:
    page = section((docs / "reference" / "jobs.md").read_text("utf-8"), "## Operations")
    rows = re.findall(r"^\| `(\w+)` \| (\w*) *\| (\w*) *\|([^|]*)\|", page, re.MULTILINE)
    hive = HiveOperations(*[Mock() for _ in inspect.signature(HiveOperations).parameters]).operations()
    forwards = Forwards(Mock(), Mock())
    further = [Mock() for _ in inspect.signature(QueenOperations).parameters][2:]
    remote = RemoteHives(*[Mock() for _ in inspect.signature(RemoteHives).parameters])
    queen = {
        **QueenOperations(Mock(), forwards, *further).operations(),
        **Machines(Mock(), "", Mock()).operations(),
        **remote.operations(),
    }
    assert set(hive) == set(HIVE_OPERATIONS) == set(forwards.operations())
    assert {name for name, at_queen, _, _ in rows if at_queen} == set(queen)
    assert {name for name, _, at_hive, _ in rows if at_hive} == set(hive)
    told = {name: set(re.findall(r"`(\w+)`", fields)) for name, _, _, fields in rows}
    own = {
        "bench": Bench,
        "hive_install": HiveInstall,
        "hive_logs": HiveLogs,
        "hive_restart": HiveStop,
        "hive_start": HiveStart,
        "hive_status": HiveWork,
        "hive_stop": HiveStop,
        "hive_uninstall": HiveUninstall,
        "hive_upgrade": HiveInstall,
        "load": Load,
        "model_plan": ModelPlan,
        "model_search": ModelSearch,
        "unload": Unload,
    }
    for name, request in {**HIVE_OPERATIONS, **own}.items():
        assert told[name] == set(request.__struct_fields__) - {"operation", "hive_id"}, name


def test_every_figure_of_a_worker_stands(docs: Path) -> None:
    page = section((docs / "reference" / "metrics.md").read_text("utf-8"), "## A worker")
    told = figures(EngineStatus(), open_requests=0)
    assert set(re.findall(r"`(rbee_worker_\w+)`", page)) == {one.name for one in told}
