"""Make a plugin of your own from this folder.

    python render.py NAME [--into FOLDER]

Copies the folder to ``FOLDER/rbee-NAME`` and puts your name wherever ``example`` stands, in names of files and in them.
Needs nothing but Python.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAME = re.compile(r"[a-z][a-z0-9]{1,30}\Z")
LEFT_OUT = frozenset({"render.py", "__pycache__", ".pytest_cache"})


def render(name: str, into: Path) -> Path:
    """The new plugin's folder.

    Raises:
        ValueError: that is no name, or there is such a folder already.
    """
    if not NAME.match(name):
        raise ValueError(f"{name!r} is no name for a plugin: take lower-case letters and digits, a letter first.")
    target = into / f"rbee-{name}"
    if target.exists():
        raise ValueError(f"'{target}' is there already; choose another name, or another folder with --into.")
    for source in sorted(HERE.rglob("*")):
        parts = source.relative_to(HERE).parts
        if source.is_dir() or LEFT_OUT & set(parts):
            continue
        file = target.joinpath(*(part.replace("example", name) for part in parts))
        file.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text(encoding="utf-8").replace("example", name).replace("Example", name.capitalize())
        file.write_text(text, encoding="utf-8")
    return target


def main() -> None:
    """Read the command line and say what to do next."""
    parser = argparse.ArgumentParser(description="Make a plugin of rbee from this template.")
    parser.add_argument("name", help="of the plugin, a word in lower case")
    parser.add_argument(
        "--into", type=Path, default=Path(), help="folder that the plugin's is made in; here when absent"
    )
    given = parser.parse_args()
    try:
        target = render(given.name, given.into)
    except ValueError as error:
        sys.exit(f"render.py: {error}")
    sys.stdout.write(f"{target} is made. Next: pip install -e {target} && rbee plugins && pytest {target}\n")


if __name__ == "__main__":
    main()
