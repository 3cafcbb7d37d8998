"""The tutorial's finished result is the example plugin, file by file."""

from __future__ import annotations

import re
from pathlib import Path

FILE = re.compile(r"^`rbee-echo/([\w./-]+)`\n\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OWN = "\n[tool.uv.sources]\n"
"""What follows is for a member of this workspace."""


def files(docs: Path) -> dict[str, str]:
    return dict(FILE.findall((docs / "plugins" / "tutorial.md").read_text("utf-8")))


def test_its_files_are_those_of_the_example_plugin(root: Path, docs: Path) -> None:
    echo = root / "contrib" / "rbee-echo"
    for name, text in files(docs).items():
        if name != "README.md":
            assert text == (echo / name).read_text("utf-8").partition(OWN)[0], name


def test_it_leaves_no_module_out(root: Path, docs: Path) -> None:
    echo = root / "contrib" / "rbee-echo"
    modules = {str(path.relative_to(echo)) for path in (echo / "rbee_echo").glob("*.py")}
    assert modules | {"pyproject.toml", "README.md", "tests/test_contract.py"} <= set(files(docs))
