"""Figures of the machine and its processes, from psutil and, where there are any, control groups."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from rbee.builtin import cgroup
from rbee.contract.probe import NodeSample, Probe, ProcessSample
from rbee.contract.types import Backend, Device, DeviceType

_MIB = 1024 * 1024
_OWN_SLICE = "/rbee.slice/"


class _Counters:
    """What one process had used when it was last looked at."""

    __slots__ = ("cpu_s", "read", "written")

    def __init__(self, cpu_s: float, read: int | None, written: int | None) -> None:
        self.cpu_s = cpu_s
        self.read = read
        self.written = written


class HostProbe(Probe):
    """The processor, the memory and every worker's tree of processes."""

    name = "host"

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[tuple[int, float], _Counters] = {}
        self._group_cpu: dict[str, float] = {}
        self._sampled_at: float | None = None
        self._node_primed = False

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
        # psutil's first answer is a meaningless 0: it has nothing to compare with yet.
        busy = psutil.cpu_percent(interval=None)
        cpu_pct, self._node_primed = (busy if self._node_primed else None), True
        memory = psutil.virtual_memory()
        return NodeSample(
            cpu_pct=cpu_pct,
            ram_used_mb=(memory.total - memory.available) // _MIB,
            ram_total_mb=memory.total // _MIB,
        )

    def sample_processes(self, roots: Sequence[int]) -> dict[int, ProcessSample]:
        now = self._clock()
        elapsed = None if self._sampled_at is None else now - self._sampled_at
        self._sampled_at = now
        if not roots:
            self._seen.clear()
            return {}
        children = _children_by_parent()
        seen: dict[tuple[int, float], _Counters] = {}
        samples = {}
        for root in roots:
            sample = self._sample_tree(root, children, elapsed, seen)
            if sample is not None:
                samples[root] = sample
        self._seen = seen
        return samples

    def _sample_tree(
        self,
        root: int,
        children: dict[int, list[int]],
        elapsed: float | None,
        seen: dict[tuple[int, float], _Counters],
    ) -> ProcessSample | None:
        rss = 0
        cpu_s = read = written = 0.0
        known_before = io_known = False
        started: float | None = None
        for pid in _tree(root, children):
            try:
                process = psutil.Process(pid)
                with process.oneshot():
                    key = (pid, process.create_time())
                    times = process.cpu_times()
                    rss += process.memory_info().rss
                    counters = _Counters(times.user + times.system, *_storage_io(process))
            except psutil.Error:
                if pid == root:
                    return None
                continue
            if pid == root:
                started = key[1]
            seen[key] = counters
            before = self._seen.get(key)
            if before is None:
                continue
            known_before = True
            cpu_s += max(0.0, counters.cpu_s - before.cpu_s)
            if counters.read is not None and before.read is not None:
                io_known = True
                read += max(0, counters.read - before.read)
                written += max(0, (counters.written or 0) - (before.written or 0))
        rate = elapsed if known_before and elapsed else None
        group = cgroup.group_of(root)
        own_group = group if group is not None and group.startswith(_OWN_SLICE) else None
        memory = rss
        if own_group is not None and (mounted := cgroup.mount()) is not None:
            memory, cpu_s = self._from_group(mounted, own_group, memory, cpu_s)
        return ProcessSample(
            cpu_pct=round(100 * cpu_s / rate, 1) if rate else None,
            rss_mb=memory // _MIB,
            io_r_mb_s=round(read / _MIB / rate, 3) if rate and io_known else None,
            io_w_mb_s=round(written / _MIB / rate, 3) if rate and io_known else None,
            uptime_s=max(0, int(time.time() - started)) if started is not None else None,
            cgroup=own_group,
        )

    def _from_group(self, root: Path, group: str, memory: int, cpu_s: float) -> tuple[int, float]:
        """A group of its own counts children that have ended too, which a walk over the living misses."""
        found = cgroup.usage(root, group)
        if found.cpu_s is not None:
            before = self._group_cpu.get(group)
            self._group_cpu[group] = found.cpu_s
            if before is not None:
                cpu_s = max(0.0, found.cpu_s - before)
        return memory, cpu_s


def usable_cores() -> int:
    """Processors this process may use: affinity and control group considered; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
    limit = cgroup.own_limits().cores
    return max(1, min(cores, int(limit)) if limit is not None else cores)


def _children_by_parent() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for process in psutil.process_iter(["pid", "ppid"]):
        found.setdefault(process.info["ppid"], []).append(process.info["pid"])
    return found


def _tree(root: int, children: dict[int, list[int]]) -> list[int]:
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue.extend(children.get(pid, ()))
    return found


def _storage_io(process: psutil.Process) -> tuple[int | None, int | None]:
    """Bytes read and written; None where the system keeps them from us (macOS, foreign users)."""
    try:
        counters = process.io_counters()
    except (psutil.Error, AttributeError, OSError):
        return None, None
    return counters.read_bytes, counters.write_bytes


def _processor_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "CPU"
