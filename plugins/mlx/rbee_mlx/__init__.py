"""MLX as an engine of rbee."""

from rbee_mlx.engine import MlxEngine
from rbee_mlx.metal_probe import MetalProbe

__all__ = ["MetalProbe", "MlxEngine"]
