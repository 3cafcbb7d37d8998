"""The repository hangs together: distributions, extras, environments."""

from __future__ import annotations

import configparser
import re
import tomllib
from pathlib import Path
from types import ModuleType

# Assembled, so that this file does not hold what it looks for.
HOSTS = re.compile(
    "|".join([r"\bpy" + r"pi\.org", r"\bpython" + r"hosted\.org", r"\bnpm" + r"js\.org", r"\bdeb\.deb" + "ian"])
)


TOO_HEAVY_FOR_ALL = {"exllamav2"}
"""Plugins that bring gigabytes, which nobody should get who has not asked for them by name."""


def test_every_plugin_is_a_member_an_extra_and_an_environment(root: Path, pyproject: dict) -> None:
    environments = configparser.ConfigParser(interpolation=None)
    environments.read(root / "tox.ini", encoding="utf-8")
    extras = pyproject["project"]["optional-dependencies"]
    sources = pyproject["tool"]["uv"]["sources"]
    names = sorted(path.parent.name for path in (root / "plugins").glob("*/pyproject.toml"))
    assert names
    for name in names:
        assert name in extras, f"no extra rbee[{name}]"
        assert any(dependency.startswith(f"rbee-{name}") for dependency in extras["all"]) != (name in TOO_HEAVY_FOR_ALL)
        assert f"testenv:plugin-{name}" in environments
        assert f"rbee-{name}" in sources


def test_every_plugin_has_a_readme_a_contract_test_and_an_entry_point(root: Path) -> None:
    folders = [path.parent for pattern in ("plugins", "contrib") for path in (root / pattern).glob("*/pyproject.toml")]
    assert len(folders) >= 4
    for folder in folders:
        project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
        assert len((folder / "README.md").read_text("utf-8")) > 500
        tests = "".join(path.read_text("utf-8") for path in (folder / "tests").glob("test_*.py"))
        assert re.search(r"^class Test\w+\(.*Contract\):", tests, re.MULTILINE), f"no contract test in {folder}"
        assert "rbee" in project["entry-points"]
        assert project["license"] == "Apache-2.0"


def test_plugins_do_not_know_each_other(root: Path) -> None:
    packages = {path.name for path in (root / "plugins").glob("*/rbee_*")}
    for package in packages:
        folder = next((root / "plugins").glob(f"*/{package}"))
        for module in folder.rglob("*.py"):
            text = module.read_text("utf-8")
            others = [other for other in packages - {package} if re.search(rf"\b(import|from) {other}\b", text)]
            assert not others, f"{module} imports {others}"
            reached = set(re.findall(r"^\s*(?:from|import) rbee\.(\w+)", text, re.MULTILINE))
            assert reached <= {"contract"}, f"{module} reaches into rbee.{reached}"


def test_no_file_names_the_host_of_a_package_registry(tracked: list[Path], root: Path) -> None:
    named = []
    for path in tracked:
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        if HOSTS.search(text):
            named.append(str(path.relative_to(root)))
    assert not named


def test_no_lock_file_is_tracked(tracked: list[Path]) -> None:
    assert not [path for path in tracked if path.name in {"uv.lock", "poetry.lock", "package-lock.json"}]


def test_every_direct_dependency_is_pinned(pyproject: dict) -> None:
    pinned = {re.split(r"[=<>\[;]", text)[0] for text in pyproject["tool"]["uv"]["constraint-dependencies"]}
    wanted = {re.split(r"[=<>\[; ]", text)[0] for text in pyproject["project"]["dependencies"]}
    assert wanted <= pinned


def test_the_public_names_of_the_contract_are_these() -> None:
    import rbee.contract

    names = {name: thing for name, thing in vars(rbee.contract).items() if name.isidentifier() and name[0] != "_"}
    assert {name for name, thing in names.items() if not isinstance(thing, ModuleType)} == set(rbee.contract.__all__)
