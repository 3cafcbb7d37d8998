"""A figure of the machine: how much of its processors is in use."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rbee.contract import Device, NodeSample, Probe, ProcessSample


class ExampleProbe(Probe):
    """The load of the last minute, as a share of the processors."""

    name = "example"

    def devices(self) -> Sequence[Device]:
        """None: it only reads."""
        return ()

    def sample_node(self) -> NodeSample:
        """The load; unknown where the system has no such figure."""
        try:
            load = os.getloadavg()[0]
        except (AttributeError, OSError):
            return NodeSample()
        return NodeSample(cpu_pct=min(100.0, 100 * load / (os.cpu_count() or 1)))

    def sample_processes(self, roots: Sequence[int]) -> dict[int, ProcessSample]:
        """Nothing about single workers."""
        return {}
