"""Whether the library can run here, found out without importing it."""

from __future__ import annotations

import ctypes.util
import importlib.metadata
import importlib.util
import platform
import sys
import sysconfig
from pathlib import Path

from rbee.contract import Availability

LIBRARY = "xllamacpp"
INSTALL = "pip install 'rbee-llamacpp[engine]'"
INSTALL_GOMP = "install libgomp1 (Debian, Ubuntu: apt-get install libgomp1; Fedora: dnf install libgomp)"

WHEELS = frozenset(
    {
        ("linux", "x86_64"),
        ("linux", "aarch64"),
        ("darwin", "arm64"),
        ("win32", "amd64"),
    }
)
"""Platforms for which the library is published ready-made; the markers of the extra `engine` say the same."""


def availability() -> Availability:
    """What `LlamaCppEngine.availability` answers."""
    if importlib.util.find_spec(LIBRARY) is None:
        return Availability(available=False, reason=_why_not_installed())
    version = _version()
    if sys.platform == "linux" and not _has_gomp():
        return Availability(
            available=False,
            version=version,
            reason=f"{LIBRARY} needs the system library libgomp.so.1, which was not found; {INSTALL_GOMP}",
        )
    return Availability(available=True, version=version)


def _why_not_installed() -> str:
    machine = platform.machine().lower()
    if (sys.platform, machine) not in WHEELS:
        return (
            f"there is no ready-made {LIBRARY} for {sys.platform} on {machine or 'this processor'}; "
            f"use Linux on x86_64 or aarch64, macOS on arm64, or Windows on amd64, and there: {INSTALL}"
        )
    return f"{LIBRARY} is not installed; {INSTALL}"


def _version() -> str | None:
    try:
        return importlib.metadata.version(LIBRARY)
    except importlib.metadata.PackageNotFoundError:
        # Built from source and put on the path by hand.
        return None


def _has_gomp() -> bool:
    # Looked for by path first, since asking the linker's cache costs a process and this is asked often.
    # It is not loaded: it reads OMP_WAIT_POLICY as it is loaded, and the engine has yet to set that.
    folders = ["/lib64", "/usr/lib64", "/usr/lib", "/usr/local/lib"]
    if multiarch := sysconfig.get_config_var("MULTIARCH"):
        folders += [f"/lib/{multiarch}", f"/usr/lib/{multiarch}"]
    if any((Path(folder) / "libgomp.so.1").exists() for folder in folders):
        return True
    return ctypes.util.find_library("gomp") is not None
