"""Engines as Python packages, brought by the installer of this environment."""

from rbee.builtin.python_workers.vendor import PythonWorkerVendor

__all__ = ["PythonWorkerVendor"]
