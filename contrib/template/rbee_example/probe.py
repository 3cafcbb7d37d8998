"""A figure of the machine: how much of its processors is in use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rbee.contract import Device, NodeSample, Probe, ProcessSample

STAT = Path("/proc/stat")


class ExampleProbe(Probe):
    """The share of processor time that was spent since the sample before, as Linux counts it.

    Of two probes that know the same figure, the one that is registered later counts: measure what the contract says it
    is, or leave it out.
    """

    name = "example"

    def __init__(self) -> None:
        self._before: tuple[int, int] | None = None

    def devices(self) -> Sequence[Device]:
        """None: it only reads."""
        return ()

    def sample_node(self) -> NodeSample:
        """The share; unknown at the first sample, and where the system has no such figure."""
        before, self._before = self._before, _times()
        if before is None or self._before is None or self._before[1] <= before[1]:
            return NodeSample()
        busy, all_of_it = (now - then for now, then in zip(self._before, before, strict=True))
        return NodeSample(cpu_pct=min(100.0, max(0.0, 100 * busy / all_of_it)))

    def sample_processes(self, roots: Sequence[int]) -> dict[int, ProcessSample]:
        """Nothing about single workers."""
        return {}


def _times() -> tuple[int, int] | None:
    """Ticks of all processors since the start: busy, and in all; None where nobody counts them."""
    try:
        words = STAT.read_text("ascii").partition("\n")[0].split()[1:9]
    except OSError:
        return None
    ticks = [int(word) for word in words]
    # Behind user, nice and system: idle, and waiting for a disk.
    return sum(ticks) - sum(ticks[3:5]), sum(ticks)
