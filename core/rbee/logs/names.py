"""Whose log a file is, by its name."""

from __future__ import annotations

PROGRAM_LOGS = frozenset({"colony", "hive", "queen", "rbee", "registry"})
"""Logs of programs.  They are in the same folder as those of workers, so no worker may be called so."""


def is_program_log(name: str) -> bool:
    """Whether a log of that name, given without ``.log``, is a program's."""
    # Some file systems take capital and small letters for the same.
    return name.lower() in PROGRAM_LOGS
