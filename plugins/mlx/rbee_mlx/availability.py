"""Whether the library can run here, found out without importing it: that takes seconds, and on a Mac memory."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys

from rbee.contract import Availability

INSTALL = "pip install 'rbee-mlx[engine]'"
PLATFORMS = frozenset({("darwin", "arm64"), ("linux", "x86_64"), ("linux", "aarch64")})
"""Platforms for which the library is published ready-made; the markers of the extra `engine` say the same."""


def availability() -> Availability:
    """What `MlxEngine.availability` answers."""
    machine = platform.machine().lower()
    if (sys.platform, machine) not in PLATFORMS:
        return Availability(
            available=False,
            reason=f"there is no mlx for {sys.platform} on {machine or 'this processor'}; "
            f"use a Mac with an Apple processor, or Linux on x86_64 or aarch64, and there: {INSTALL}",
        )
    for module, library in (("mlx_lm", "mlx-lm"), ("mlx", "mlx")):
        if importlib.util.find_spec(module) is None:
            return Availability(available=False, reason=f"{library} is not installed; {INSTALL}")
    version = _version("mlx-lm")
    if sys.platform == "linux" and _version("mlx-cpu") is None and _version("mlx-cuda") is None:
        return Availability(
            available=False, version=version, reason=f"mlx is installed without what drives the processor; {INSTALL}"
        )
    if importlib.util.find_spec("tokenizers") is None:
        return Availability(available=False, version=version, reason=f"tokenizers is not installed; {INSTALL}")
    return Availability(available=True, version=version)


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None
