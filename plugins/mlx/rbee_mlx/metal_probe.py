"""The GPU of a Mac, read from the system's own tables: the hive's process never holds the GPU itself.

Sources: ``sysctl`` (``hw.memsize``, ``iogpu.wired_limit_mb``) and the registry of devices, ``ioreg``, whose class
``IOAccelerator`` tells ``PerformanceStatistics``.
"""

from __future__ import annotations

import platform
import plistlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any
from xml.parsers.expat import ExpatError

from rbee.contract import Backend, Device, DeviceType, GpuStats, NodeSample, Probe, ProcessSample

_MIB = 1024 * 1024
_GIB = 1024 * _MIB
_PATIENCE_S = 0.4
_SHARE = 0.75
"""Of the memory, which the system lets its GPU have where no limit is set."""

Ask = Callable[[Sequence[str]], bytes]
"""Runs a command and returns what it printed; nothing when it cannot."""


def is_mac() -> bool:
    """Whether this is a Mac with an Apple processor."""
    return sys.platform == "darwin" and platform.machine() == "arm64"


def asked(command: Sequence[str]) -> bytes:
    """What a command prints within the time that a sample has; nothing when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=_PATIENCE_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return b""
    return done.stdout


class MetalProbe(Probe):
    """One device, on a Mac with an Apple processor; silent elsewhere.

    Its memory is the machine's: the limit is what the system lets the GPU have of it.

    Args:
        ask: runs commands; tests give another.
        here: whether there is such a GPU; tests say so.
    """

    name = "metal"

    def __init__(self, ask: Ask = asked, here: Callable[[], bool] = is_mac) -> None:
        self._ask = ask
        self._here = here

    def devices(self) -> Sequence[Device]:
        """The GPU, with the memory that it may use."""
        if not self._here():
            return ()
        limit = self._limit()
        name = self._ask(("/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string")).decode("utf-8", "replace").strip()
        return (
            Device(
                id="GPU-0",
                name=name or "Apple GPU",
                device_type=DeviceType.GPU,
                vram_gb=None if limit is None else round(limit / _GIB, 1),
                backend=Backend.METAL,
                memory_bytes=limit,
            ),
        )

    def sample_node(self) -> NodeSample:
        """Load and memory in use."""
        if not self._here():
            return NodeSample()
        found, limit = self._statistics(), self._limit()
        used = found.get("In use system memory")
        load = found.get("Device Utilization %")
        return NodeSample(
            gpus=(
                GpuStats(
                    id="GPU-0",
                    util_pct=float(load) if isinstance(load, int) else None,
                    vram_used_mb=used // _MIB if isinstance(used, int) else None,
                    vram_total_mb=None if limit is None else limit // _MIB,
                ),
            )
        )

    def sample_processes(self, roots: Sequence[int]) -> dict[int, ProcessSample]:
        """Nothing: the system tells no process's share to others."""
        return {}

    def _limit(self) -> int | None:
        """Bytes that the GPU may use; None when the system does not tell."""
        total = _number(self._ask(("/usr/sbin/sysctl", "-n", "hw.memsize")))
        wired = _number(self._ask(("/usr/sbin/sysctl", "-n", "iogpu.wired_limit_mb")))
        if wired:
            return wired * _MIB
        return None if total is None else int(total * _SHARE)

    def _statistics(self) -> dict[str, Any]:
        told = self._ask(("/usr/sbin/ioreg", "-a", "-r", "-d", "1", "-w", "0", "-c", "IOAccelerator"))
        try:
            found = plistlib.loads(told)
        except (plistlib.InvalidFileException, ExpatError, ValueError):
            return {}
        entries = found if isinstance(found, list) else [found]
        statistics = [one.get("PerformanceStatistics") for one in entries if isinstance(one, dict)]
        return next((one for one in statistics if isinstance(one, dict)), {})


def _number(text: bytes) -> int | None:
    word = text.strip()
    return int(word) if word.isdigit() else None
