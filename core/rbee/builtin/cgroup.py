"""Reading Linux control groups, version 2.

Files and their meaning: https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

from pathlib import Path

import msgspec

_ROOTS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
_MOUNTS = Path("/proc/self/mounts")


class GroupUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Counters of one group; None for what its controllers do not count.

    Attributes:
        cpu_s: processor seconds used so far.
        memory_bytes: memory charged now, less files read once that the system drops first when it needs room.
        read_bytes: bytes read from storage so far.
        written_bytes: bytes written to storage so far.
    """

    cpu_s: float | None = None
    memory_bytes: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None


class GroupLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits that hold for this process; None for no limit.

    Attributes:
        cores: processors' worth of time.
        memory_bytes: memory.
    """

    cores: float | None
    memory_bytes: int | None


def mount() -> Path | None:
    """Where version 2 is mounted: the system says so, and the file ``cgroup.controllers`` stands there alone."""
    mounted = _mounted()
    for root in _ROOTS:
        if str(root) in mounted and (root / "cgroup.controllers").is_file():
            return root
    return None


def group_of(pid: int | str) -> str | None:
    """Path of a process's version 2 group below the mount, as ``/rbee.slice/llm/8080``; None elsewhere."""
    return next((line[3:] for line in read(Path(f"/proc/{pid}/cgroup")).splitlines() if line.startswith("0::")), None)


def usage(root: Path, group: str) -> GroupUsage:
    """Counters of a group below `root`."""
    folder = root / group.lstrip("/")
    cpu_us = _field(read(folder / "cpu.stat"), "usage_usec")
    memory = read(folder / "memory.current").strip()
    charged = int(memory) if memory.isdigit() else None
    if charged is not None:
        charged = max(0, charged - (_field(read(folder / "memory.stat"), "inactive_file") or 0))
    moved = _moved(folder / "io.stat")
    return GroupUsage(
        cpu_s=None if cpu_us is None else cpu_us / 1e6,
        memory_bytes=charged,
        read_bytes=None if moved is None else moved[0],
        written_bytes=None if moved is None else moved[1],
    )


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
            quota = read(level / "cpu.max").split()
            if len(quota) == 2 and quota[0].isdigit():
                here = int(quota[0]) / int(quota[1])
                cores = here if cores is None else min(cores, here)
            limit = read(level / "memory.max").strip()
            if limit.isdigit():
                memory = int(limit) if memory is None else min(memory, int(limit))
    return GroupLimits(cores=cores, memory_bytes=memory)


def read(path: Path) -> str:
    """What a file of the kernel says; empty where it is not or cannot be read."""
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


def _mounted() -> frozenset[str]:
    """Places where version 2 is mounted; its files alone could be anybody's."""
    lines = [line.split() for line in _MOUNTS.read_text("utf-8", "replace").splitlines()] if _MOUNTS.exists() else []
    return frozenset(fields[1] for fields in lines if len(fields) > 2 and fields[2] == "cgroup2")


def _field(text: str, name: str) -> int | None:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return None


def _moved(file: Path) -> tuple[int, int] | None:
    """Bytes read and written, of all storage devices; None where nobody counts."""
    if not file.is_file():
        return None
    read_bytes = written = 0
    for line in read(file).splitlines():
        for part in line.split()[1:]:
            key, _, value = part.partition("=")
            if value.isdigit():
                read_bytes += int(value) if key == "rbytes" else 0
                written += int(value) if key == "wbytes" else 0
    return read_bytes, written
