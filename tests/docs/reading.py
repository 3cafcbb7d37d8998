"""Reading Markdown as the tests of the documentation need it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)(`{3,})(\w*)[^\n]*\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Every Markdown file that a reader of the project sees."""
    tops = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    folders = [path for name in ("docs", "changes") for path in (ROOT / name).rglob("*.md")]
    plugins = [path for name in ("plugins", "contrib") for path in (ROOT / name).glob("*/README.md")]
    return sorted([*tops, *folders, *plugins])


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(text: str, *languages: str) -> list[str]:
    """The fenced blocks in one of these languages."""
    return [found[4] for found in FENCE.finditer(text) if found[3] in languages]


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of its level or a higher one."""
    level = heading.partition(" ")[0]
    found = re.search(rf"^{re.escape(heading)}$\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no heading {heading!r}"
    return found[1]
