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


def of(pid: int) -> Path | None:
    """The group that a process was put into by `enter`, in this life of the hive or an earlier one."""
    root, group = cgroup.mount(), cgroup.group_of(pid)
    if root is None or group is None or not group.startswith(f"/{_SLICE}/"):
        return None
    return root / group.lstrip("/")


def sweep(group: str) -> None:
    """Remove groups whose processes have ended while no hive was there to see it."""
    root = cgroup.mount()
    if root is None or not (root / _SLICE / group).is_dir():
        return
    for folder in list((root / _SLICE / group).iterdir()):
        if folder.is_dir():
            # A group in use cannot be removed, whoever uses it.
            _remove(folder, root)


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
