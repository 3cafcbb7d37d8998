"""Reading Linux control groups, version 2.

Files and their meaning: https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

from pathlib import Path

import msgspec

_ROOTS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


class GroupUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Counters of one group; None for what its controllers do not count.

    Attributes:
        cpu_s: processor seconds used so far.
        memory_bytes: memory charged now.
    """

    cpu_s: float | None
    memory_bytes: int | None


class GroupLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits that hold for this process; None for no limit.

    Attributes:
        cores: processors' worth of time.
        memory_bytes: memory.
    """

    cores: float | None
    memory_bytes: int | None


def mount() -> Path | None:
    """Where version 2 is mounted; only there stands the file ``cgroup.controllers``."""
    for root in _ROOTS:
        if (root / "cgroup.controllers").is_file():
            return root
    return None


def group_of(pid: int | str) -> str | None:
    """Path of a process's version 2 group below the mount, as ``/rbee.slice/llm/8080``; None elsewhere."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((line[3:] for line in lines if line.startswith("0::")), None)


def usage(root: Path, group: str) -> GroupUsage:
    """Counters of a group below `root`."""
    folder = root / group.lstrip("/")
    cpu_s = None
    for line in _read(folder / "cpu.stat").splitlines():
        if line.startswith("usage_usec "):
            cpu_s = int(line.split()[1]) / 1e6
    memory = _read(folder / "memory.current").strip()
    return GroupUsage(cpu_s=cpu_s, memory_bytes=int(memory) if memory.isdigit() else None)


def own_limits() -> GroupLimits:
    """The tightest limits on the way from this process's group up to the mount."""
    root, group = mount(), group_of("self")
    cores: float | None = None
    memory: int | None = None
    if root is not None and group is not None:
        folder = root / group.lstrip("/")
        for level in (folder, *folder.parents):
            if not level.is_relative_to(root):
                break
            quota = _read(level / "cpu.max").split()
            if len(quota) == 2 and quota[0].isdigit():
                here = int(quota[0]) / int(quota[1])
                cores = here if cores is None else min(cores, here)
            limit = _read(level / "memory.max").strip()
            if limit.isdigit():
                memory = int(limit) if memory is None else min(memory, int(limit))
    return GroupLimits(cores=cores, memory_bytes=memory)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
