"""NVIDIA GPUs in rbee, through NVML."""

from rbee_nvidia.probe import NvidiaProbe

__all__ = ["NvidiaProbe"]
