"""What the entry point names."""

from __future__ import annotations

from rbee.contract import Register, hookimpl

from rbee_nvidia.probe import NvidiaProbe

RBEE_CONTRACT = ">=0.3,<0.4"


@hookimpl
def rbee_register(register: Register) -> None:
    """Register the probe."""
    register.probe(NvidiaProbe)
