"""Whether a library can run here, found out from files and metadata: importing it takes seconds, or a compiler."""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import importlib.util
import os
import shutil
import sys
from pathlib import Path

import msgspec
from rbee.contract import Availability

INSTALL = "pip install 'rbee-exllamav2[engine]'"
DRIVER = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""One of these is there wherever Linux has a driver for CUDA, the last within Windows."""
WINDOWS_DRIVER = Path("System32", "nvcuda.dll")
TOOLKIT = Path("/usr/local/cuda")
TOOLKIT_VARIABLES = ("CUDA_HOME", "CUDA_PATH")
"""Where PyTorch looks for the compiler."""


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two libraries.

    Attributes:
        module: what is imported, and its distribution's name.
        extension: module of its compiled kernels; where there is none, it compiles them when first imported.
    """

    module: str
    extension: str


def availability(library: Library) -> Availability:
    """What the engine over this library answers; neither it nor PyTorch is imported."""
    version = _version(library.module)
    reason = _reason(library)
    return Availability(available=reason is None, version=version, reason=reason)


def _reason(library: Library) -> str | None:
    if sys.platform not in {"linux", "win32"}:
        return (
            f"{library.module} needs CUDA, which {sys.platform} does not have; use Linux or Windows, with an NVIDIA GPU"
        )
    if importlib.util.find_spec(library.module) is None:
        return f"{library.module} is not installed; {INSTALL}"
    if importlib.util.find_spec("torch") is None:
        return f"{library.module} needs PyTorch, which is not installed; {INSTALL}"
    torch = _version("torch") or ""
    if torch.endswith("+cpu"):
        return f"PyTorch {torch} is built without CUDA; pip uninstall torch and {INSTALL}"
    if not _has_driver():
        return "no NVIDIA driver was found; install NVIDIA's driver and look with nvidia-smi whether it sees the GPU"
    if not _has_kernels(library.extension) and not _has_compiler():
        return (
            f"{library.module} compiles its kernels when it is first used, and nvcc was not found; "
            "install the CUDA toolkit and set CUDA_HOME to its folder"
        )
    return None


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        # Not there, or put on the path by hand.
        return None


def _has_driver() -> bool:
    if sys.platform == "win32":
        return (Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / WINDOWS_DRIVER).exists()
    return any(path.exists() for path in DRIVER)


def _has_kernels(extension: str) -> bool:
    found = importlib.util.find_spec(extension)
    origin = found.origin if found is not None else None
    return origin is not None and origin.endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES))


def _has_compiler() -> bool:
    if any(os.environ.get(name) for name in TOOLKIT_VARIABLES):
        return True
    return shutil.which("nvcc") is not None or TOOLKIT.is_dir()
