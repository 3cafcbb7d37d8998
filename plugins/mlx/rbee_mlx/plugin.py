"""The entry point."""

from rbee.contract import Register, hookimpl

from rbee_mlx.engine import MlxEngine
from rbee_mlx.metal_probe import MetalProbe

RBEE_CONTRACT = ">=0.3,<0.4"


@hookimpl
def rbee_register(register: Register) -> None:
    """Add the engine and the probe."""
    register.engine(MlxEngine)
    register.probe(MetalProbe)
