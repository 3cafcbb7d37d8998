"""A control group a worker, with limits where they are asked for and the system lets us set them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from rbee.builtin import cgroup

log = logging.getLogger(__name__)

_SLICE = "rbee.slice"
_PERIOD_US = 100_000
_LEAST_US = 1_000
"""The shortest quota that the system takes."""
_SETTINGS = MappingProxyType({"memory": "hive.worker_memory_max_mb", "cpu": "hive.worker_cpu_max"})
_REMEDY = (
    "Run the hive as root on a system whose cgroup v2 has that controller, or limit the hive as a whole by the means "
    "of the system (systemd: MemoryMax=, CPUQuota=), or unset it"
)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker may use; None for as much as there is.

    Attributes:
        memory_mb: memory in MiB.
        cores: processors' worth of time.
    """

    memory_mb: int | None = None
    cores: float | None = None

    def files(self) -> Mapping[str, str | None]:
        """What is to stand in the files of a group; None where nothing is asked for."""
        quota = None if self.cores is None else max(_LEAST_US, round(self.cores * _PERIOD_US))
        return {
            "memory.max": None if self.memory_mb is None else str(self.memory_mb * 1024 * 1024),
            "cpu.max": None if quota is None else f"{quota} {_PERIOD_US}",
        }


class Groups:
    """The control groups of a hive's workers, ``rbee.slice/<group>/<instance>``; none where that is not permitted.

    Args:
        limits: of each worker.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._said: set[str] = set()

    def enter(self, pid: int, group: str, instance: str) -> Path | None:
        """Put a process into a group of its own and under its limits; None where that is not permitted.

        A worker that cannot be limited starts all the same; the log says once why.
        """
        root = cgroup.mount()
        if root is None:
            self._refuse(self._wanted(), "no cgroup v2 is mounted here")
            return None
        folder = root / _SLICE / group / instance
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # First the limits: a process that is over them already is not let off.
            self._limit(root, folder)
            (folder / "cgroup.procs").write_text(str(pid), encoding="ascii")
        except OSError as error:
            log.debug("no control group for worker %s: %s", instance, error)
            self._refuse(self._wanted(), f"no group can be made: {error}")
            _remove(folder, root)
            return None
        return folder

    def _wanted(self) -> list[str]:
        return [name.partition(".")[0] for name, value in self._limits.files().items() if value is not None]

    def _limit(self, root: Path, folder: Path) -> None:
        for name, value in self._limits.files().items():
            controller = name.partition(".")[0]
            file = folder / name
            try:
                if value is not None:
                    _enable(root, folder, controller)
                    file.write_text(value, encoding="ascii")
                elif cgroup.read(file).split()[:1] not in ([], ["max"]):
                    # Somebody may have set the file of an earlier worker's group that is still there.
                    file.write_text("max", encoding="ascii")
            except OSError as error:
                self._refuse([controller], str(error))

    def _refuse(self, controllers: list[str], why: str) -> None:
        for controller in controllers:
            if controller not in self._said:
                self._said.add(controller)
                log.warning("%s is set, but workers run without it: %s. %s.", _SETTINGS[controller], why, _REMEDY)


def of(pid: int) -> Path | None:
    """The group that a process was put into by `Groups.enter`, in this life of the hive or an earlier one."""
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


def _enable(root: Path, folder: Path, controller: str) -> None:
    """Let groups on the way from the mount to `folder` hand a controller on; what is enabled stays untouched.

    Raises:
        OSError: the controller is not there, or the system refuses.
    """
    for level in (root, root / _SLICE, folder.parent):
        if controller not in cgroup.read(level / "cgroup.controllers").split():
            raise OSError(f"the controller {controller!r} is not in '{level / 'cgroup.controllers'}'")
        handed_on = level / "cgroup.subtree_control"
        if controller not in cgroup.read(handed_on).split():
            handed_on.write_text(f"+{controller}", encoding="ascii")


def _remove(folder: Path, root: Path) -> None:
    # From the leaf up to the slice; a group that is still in use stays.
    with contextlib.suppress(OSError):
        for level in (folder, folder.parent, folder.parent.parent):
            if level == root:
                return
            level.rmdir()
