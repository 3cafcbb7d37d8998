"""Where packages go: the environment that this program runs in, when it lets itself be changed."""

from __future__ import annotations

import shlex
import sys
import sysconfig
import tempfile
from pathlib import Path

import msgspec

from rbee.contract.errors import ConfigurationError

_MANAGED = "EXTERNALLY-MANAGED"
"""A file of this name beside the standard library says so, by PEP 668."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """An environment of Python.

    Attributes:
        python: its interpreter.
        prefix: its folder.
        packages: its folders of packages; one, or two where compiled ones lie apart.
        scripts: its folder of programs.
        managed: a system's own, which lets nobody else install into it.
    """

    python: str
    prefix: Path
    packages: tuple[Path, ...]
    scripts: Path
    managed: bool = False


def place() -> Place:
    """The environment of this program."""
    paths = sysconfig.get_paths()
    own = sys.prefix == sys.base_prefix
    return Place(
        python=sys.executable,
        prefix=Path(sys.prefix),
        packages=tuple(dict.fromkeys(Path(paths[name]).resolve() for name in ("purelib", "platlib"))),
        scripts=Path(paths["scripts"]),
        managed=own and (Path(paths["stdlib"]) / _MANAGED).is_file(),
    )


def changeable(where: Place) -> Place:
    """The same, when packages can be put there.

    Raises:
        ConfigurationError: they cannot.
    """
    if where.managed:
        raise ConfigurationError(
            f"rbee runs on the system's own Python in '{where.prefix}', which lets nobody install into it (PEP 668). "
            f"Install rbee into an environment of its own: {shlex.quote(where.python)} -m venv ~/rbee-env"
        )
    for folder in (*where.packages, where.scripts):
        try:
            # Made and gone: rights alone do not tell of a read-only disk.
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise ConfigurationError(
                f"rbee's environment cannot be changed: '{folder}' takes no files ({error.strerror}). Do it as the "
                "user who owns that folder, or install rbee into an environment of your own."
            ) from error
    return where
