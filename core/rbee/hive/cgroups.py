"""A control group a worker, where the system lets us make one."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from rbee.builtin import cgroup

log = logging.getLogger(__name__)

_SLICE = "rbee.slice"


def enter(pid: int, group: str, instance: str) -> Path | None:
    """Put a process into ``rbee.slice/<group>/<instance>``; None where that is not permitted."""
    root = cgroup.mount()
    if root is None:
        return None
    folder = root / _SLICE / group / instance
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.procs").write_text(str(pid), encoding="ascii")
    except OSError as error:
        log.debug("no control group for worker %s: %s", instance, error)
        _remove(folder, root)
        return None
    return folder


def leave(folder: Path) -> None:
    """Remove a group whose processes have ended."""
    root = cgroup.mount()
    if root is not None:
        _remove(folder, root)


def _remove(folder: Path, root: Path) -> None:
    # From the leaf up to the slice; a group that is still in use stays.
    with contextlib.suppress(OSError):
        for level in (folder, folder.parent, folder.parent.parent):
            if level == root:
                return
            level.rmdir()
