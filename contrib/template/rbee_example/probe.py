"""What this plugin knows of the machine: a line for `rbee doctor`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rbee.contract import Check, Device, NodeSample, Probe, ProcessSample


class ExampleProbe(Probe):
    """Tells how many want the processors.

    Processor, memory and processes are for rbee's own probe to tell, whose figures count before a plugin's.  Yours
    tells what nobody else knows: the devices of one maker, their figures, and what workers use of them.
    """

    name = "example"

    def devices(self) -> Sequence[Device]:
        """None.  Yours are given here, and the engines that drive them are offered for them."""
        return ()

    def sample_node(self) -> NodeSample:
        """Nothing.  Yours fills `gpus`, one entry a device."""
        return NodeSample()

    def sample_processes(self, roots: Sequence[int]) -> dict[int, ProcessSample]:
        """Nothing.  Yours tells the device that a worker uses, and how much of its memory."""
        return {}

    def diagnose(self) -> Sequence[Check]:
        """The load of the last minute; nothing where the system has no such figure."""
        try:
            load = os.getloadavg()[0]
        except (AttributeError, OSError):
            return ()
        cores = os.cpu_count() or 1
        detail = f"{load:.1f} of {cores} processors wanted within the last minute"
        if load <= cores:
            return (Check(name="load", status="ok", detail=detail),)
        remedy = "See what else runs (top), and end it or wait for it before you measure."
        return (Check(name="load", status="warn", detail=detail, remedy=remedy),)
