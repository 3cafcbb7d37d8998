"""Rules that every module keeps."""

from __future__ import annotations

import ast
import re
from pathlib import Path

VENDORS = re.compile(r"llama.?cpp|mlx|exllama|huggingface|nvml", re.IGNORECASE)
MUTABLE_CALLS = {"dict", "list", "set", "bytearray", "defaultdict", "deque", "OrderedDict", "Counter"}


def test_no_module_is_longer_than_500_lines(modules: list[Path]) -> None:
    long = {path.name: count for path in modules if (count := len(path.read_text("utf-8").splitlines())) > 500}
    assert not long


def test_no_module_is_called_utils(modules: list[Path]) -> None:
    assert not [path for path in modules if path.stem in {"utils", "util", "helpers", "misc", "common"}]


def test_core_names_no_vendor(root: Path, modules: list[Path]) -> None:
    core = [path for path in modules if path.is_relative_to(root / "core/rbee") and "testing" not in path.parts]
    assert core
    named = [f"{path.relative_to(root)}: {line}" for path in core for line in _lines_naming_a_vendor(path)]
    assert not named


def test_no_module_keeps_state_of_its_own(root: Path, modules: list[Path]) -> None:
    found = [
        f"{path.relative_to(root)}:{line} {name}"
        for path in modules
        for line, name in _mutable_globals(ast.parse(path.read_text("utf-8")))
    ]
    assert not found


def test_every_module_says_what_it_is_for(root: Path, modules: list[Path]) -> None:
    silent = [
        str(path.relative_to(root)) for path in modules if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert not silent


def test_the_environment_is_read_by_settings_and_entry_points_alone(root: Path, modules: list[Path]) -> None:
    allowed = {
        "core/rbee/cli/context.py",
        "core/rbee/cli/main.py",
        "core/rbee/cli/commands/plugins.py",
        "core/rbee/plugins/__main__.py",
        "core/rbee/worker/program.py",
        "core/rbee/gates/program.py",
        "core/rbee/builtin/openai_server/store.py",
    }
    core = [path for path in modules if path.is_relative_to(root / "core/rbee") and "testing" not in path.parts]
    readers = {
        str(path.relative_to(root)) for path in core if re.search(r"os\.(environ|getenv)", path.read_text("utf-8"))
    }
    assert readers <= allowed


def _lines_naming_a_vendor(path: Path) -> list[str]:
    return [line for line in path.read_text("utf-8").splitlines() if VENDORS.search(line)]


def _mutable_globals(tree: ast.Module) -> list[tuple[int, str]]:
    found = []
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if names == ["__all__"] or not names:
            continue
        value = node.value
        literal = isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)
        called = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in MUTABLE_CALLS
        if literal or called:
            found.append((node.lineno, names[0]))
    return found
