"""What a process and all that it has started use: counters that only rise, and memory now."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
import psutil


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """What one process has used so far.

    Attributes:
        own_cpu_s: its own processor seconds.
        cpu_s: those, and those of its children that have ended and been waited for.
        read_bytes: from storage; None where the system keeps it from us.  Ended children are in it, on Linux.
        written_bytes: likewise.
    """

    own_cpu_s: float
    cpu_s: float
    read_bytes: int | None
    written_bytes: int | None


Key = tuple[int, float]
"""A process, for ever: its id and when it started."""


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """A process with its descendants at one moment.

    Attributes:
        root: the process at the top.
        started: when it started, by the clock of the day.
        processes: counters of each.
        rss_bytes: resident memory of all.
        rss_peak_bytes: the most that was resident at the same time since they began, of one alone at least; never less
            than is now.
    """

    root: Key
    started: float
    processes: dict[Key, Counters]
    rss_bytes: int
    rss_peak_bytes: int

    @property
    def pids(self) -> tuple[int, ...]:
        """Ids of the processes, the root's first."""
        return tuple(pid for pid, _ in self.processes)

    def cpu_s_since(self, before: Tree) -> float:
        """Processor seconds used since an earlier look at the same tree; what has ended meanwhile is counted."""
        # Whoever ends hands what it used to who waits for it: the sum of all goes on rising.
        used = sum(now.cpu_s for now in self.processes.values()) - sum(old.cpu_s for old in before.processes.values())
        if used >= 0:
            return used
        # Nobody waited for it, or the system hands nothing over (macOS): only who is still there can be compared.
        return sum(
            max(0.0, now.own_cpu_s - before.processes[key].own_cpu_s)
            for key, now in self.processes.items()
            if key in before.processes
        )

    def read_since(self, before: Tree) -> int | None:
        """Bytes read from storage since an earlier look; None when unknown."""
        return _difference(
            (one.read_bytes for one in self.processes.values()), (one.read_bytes for one in before.processes.values())
        )

    def written_since(self, before: Tree) -> int | None:
        """Bytes written to storage since an earlier look; None when unknown."""
        return _difference(
            (one.written_bytes for one in self.processes.values()),
            (one.written_bytes for one in before.processes.values()),
        )


def look(root: int, children: dict[int, list[int]]) -> Tree | None:
    """The tree below `root` now; None when the root is gone.

    Args:
        root: process id.
        children: ids by the parent's, as `children_by_parent` gives them.
    """
    top: Key | None = None
    processes: dict[Key, Counters] = {}
    rss = peak = 0
    for pid in _walk(root, children):
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                key = (pid, process.create_time())
                if pid == root and process.status() == psutil.STATUS_ZOMBIE:
                    return None
                times = process.cpu_times()
                rss += process.memory_info().rss
                peak = max(peak, _peak_bytes(pid))
        except psutil.Error:
            if pid == root:
                return None
            continue
        own = times.user + times.system
        waited = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        read, written = _storage_io(process)
        processes[key] = Counters(own_cpu_s=own, cpu_s=own + waited, read_bytes=read, written_bytes=written)
        top = top or key
    if top is None:
        return None
    return Tree(root=top, started=top[1], processes=processes, rss_bytes=rss, rss_peak_bytes=max(rss, peak))


def children_by_parent() -> dict[int, list[int]]:
    """Ids of all processes by their parent's."""
    found: dict[int, list[int]] = {}
    for process in psutil.process_iter(["pid", "ppid"]):
        found.setdefault(process.info["ppid"], []).append(process.info["pid"])
    return found


def _walk(root: int, children: dict[int, list[int]]) -> list[int]:
    found: list[int] = []
    queue = [root]
    while queue:
        pid = queue.pop()
        # Ids are used again: a stale listing could make a circle.
        if pid not in found:
            found.append(pid)
            queue.extend(children.get(pid, ()))
    return found


def _peak_bytes(pid: int) -> int:
    """The most that was ever resident of one process, as Linux keeps it (``VmHWM``, proc(5)); 0 elsewhere."""
    try:
        # By its parts: what a name holds need not be text.
        _, _, rest = Path(f"/proc/{pid}/status").read_bytes().partition(b"\nVmHWM:")
        return int(rest.split(maxsplit=1)[0]) * 1024
    except (OSError, IndexError, ValueError):
        return 0


def _storage_io(process: psutil.Process) -> tuple[int | None, int | None]:
    """Bytes read and written; None where the system keeps them from us (macOS, foreign users)."""
    try:
        counters = process.io_counters()
    except (psutil.Error, AttributeError, OSError):
        return None, None
    return counters.read_bytes, counters.write_bytes


def _difference(now: Iterable[int | None], before: Iterable[int | None]) -> int | None:
    later, earlier = list(now), list(before)
    # One unknown part makes the sum unknown, or a process that ends would look like a wild write.
    if None in later or None in earlier:
        return None
    return max(0, sum(one or 0 for one in later) - sum(one or 0 for one in earlier))
