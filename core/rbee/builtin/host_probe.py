"""Figures of the machine and its processes, from psutil and, where there are any, control groups."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import psutil

from rbee.builtin import cgroup
from rbee.builtin.cgroup import GroupUsage
from rbee.builtin.process_tree import Tree, children_by_parent, look
from rbee.contract.checks import Check
from rbee.contract.probe import NodeSample, Probe, ProcessSample
from rbee.contract.types import Backend, Device, DeviceType

_MIB = 1024 * 1024
_OWN_SLICE = "/rbee.slice/"
_CONTROLLERS = "cgroup.controllers"
_SOON_S = 0.2
"""Asked again so soon, rates are those since an earlier look: processor time is counted in hundredths of a second."""


class _Seen(msgspec.Struct, frozen=True):
    """One worker as it was when it was last looked at.

    Attributes:
        at: by the probe's clock.
        tree: its processes.
        group: path of its control group; None without one of its own.
        used: that group's counters.
        before: the look before this one, without its own.
    """

    at: float
    tree: Tree
    group: str | None
    used: GroupUsage
    before: _Seen | None


class HostProbe(Probe):
    """The processor, the memory and every worker's tree of processes."""

    name = "host"

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[int, _Seen] = {}
        self._node_at: float | None = None
        self._node_cpu_pct: float | None = None

    def devices(self) -> Sequence[Device]:
        limits = cgroup.own_limits()
        memory = psutil.virtual_memory().total
        if limits.memory_bytes is not None:
            memory = min(memory, limits.memory_bytes)
        return (
            Device(
                id="CPU-0",
                name=_processor_name(),
                device_type=DeviceType.CPU,
                backend=Backend.CPU,
                memory_bytes=memory,
                cores=usable_cores(),
            ),
        )

    def sample_node(self) -> NodeSample:
        now = self._clock()
        if self._node_at is None or now - self._node_at >= _SOON_S:
            busy = psutil.cpu_percent(interval=None)
            # psutil's first answer is a meaningless 0: it has nothing to compare with yet.
            self._node_cpu_pct = None if self._node_at is None else busy
            self._node_at = now
        memory = psutil.virtual_memory()
        return NodeSample(
            cpu_pct=self._node_cpu_pct,
            ram_used_mb=(memory.total - memory.available) // _MIB,
            ram_total_mb=memory.total // _MIB,
        )

    def sample_processes(self, roots: Sequence[int]) -> dict[int, ProcessSample]:
        if not roots:
            self._seen.clear()
            return {}
        children = children_by_parent()
        mounted = cgroup.mount()
        seen: dict[int, _Seen] = {}
        samples = {}
        for root in roots:
            tree = look(root, children)
            if tree is None:
                continue
            group = cgroup.group_of(root)
            own, used = None, GroupUsage()
            if mounted is not None and group is not None and group.startswith(_OWN_SLICE):
                own, used = group, cgroup.usage(mounted, group)
            before = self._seen.get(root)
            if before is not None and before.tree.root != tree.root:
                before = None  # the id of a process that has ended, given to another
            now = _Seen(self._clock(), tree, own, used, before and msgspec.structs.replace(before, before=None))
            if before is not None and now.at - before.at < _SOON_S:
                samples[root], seen[root] = _sample(now, before.before), before
            else:
                samples[root], seen[root] = _sample(now, before), now
        self._seen = seen
        return samples

    def diagnose(self) -> Sequence[Check]:
        if not sys.platform.startswith("linux"):
            return ()
        root = cgroup.mount()
        if root is None:
            detail = "no cgroup v2 here: workers are measured by their processes and cannot be limited"
        elif not os.access(root, os.W_OK):
            detail = f"'{root}' is not ours to write: workers are measured by their processes and cannot be limited"
        else:
            present = [name for name in ("cpu", "memory", "io") if name in cgroup.read(root / _CONTROLLERS).split()]
            detail = f"workers get groups of their own in '{root}{_OWN_SLICE}'"
            detail += f", with {', '.join(present)}" if present else ", without limits: no controller is there"
        return (Check(name="control groups", status="ok", detail=detail),)


def _sample(now: _Seen, before: _Seen | None) -> ProcessSample:
    """Figures of one worker; its group's own counters where it has them, those of its processes otherwise."""
    tree, used = now.tree, now.used
    cpu_s = read = written = elapsed = None
    if before is not None:
        elapsed = now.at - before.at
        earlier = before.used if before.group == now.group else GroupUsage()
        cpu_s = _rise(used.cpu_s, earlier.cpu_s, tree.cpu_s_since(before.tree))
        read = _rise(used.read_bytes, earlier.read_bytes, tree.read_since(before.tree))
        written = _rise(used.written_bytes, earlier.written_bytes, tree.written_since(before.tree))
    memory, peak = tree.rss_bytes, tree.rss_peak_bytes
    if used.memory_bytes is not None:
        # A group is charged otherwise than its processes are measured; its peak is that of its samples.
        memory = peak = used.memory_bytes
    return ProcessSample(
        cpu_pct=_rate(cpu_s, elapsed, 100, 1),
        rss_mb=memory // _MIB,
        rss_peak_mb=peak // _MIB,
        io_r_mb_s=_rate(read, elapsed, 1 / _MIB, 3),
        io_w_mb_s=_rate(written, elapsed, 1 / _MIB, 3),
        uptime_s=max(0, int(time.time() - tree.started)),
        cgroup=now.group,
        pids=tree.pids,
    )


def _rise(now: float | None, before: float | None, otherwise: float | None) -> float | None:
    return otherwise if now is None or before is None else max(0, now - before)


def _rate(amount: float | None, elapsed: float | None, factor: float, digits: int) -> float | None:
    return None if amount is None or not elapsed else round(factor * amount / elapsed, digits)


def usable_cores() -> int:
    """Processors this process may use: affinity and control group considered; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
    limit = cgroup.own_limits().cores
    return max(1, min(cores, int(limit)) if limit is not None else cores)


def _processor_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "CPU"
