"""Wheels of packages that run here from their sources, as a checkout does; and those for other machines."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path

from packaging.utils import canonicalize_name

from rbee.contract.errors import ConfigurationError, UnavailableError
from rbee.remote.wheels import repacked

_BUILD_S = 300.0
_FETCH_S = 1800.0
_LEFT_OUT = frozenset({"__pycache__", "node_modules", "dist", "build", "tests", "docs"})
_PLATFORMS = (
    ("linux-x86_64", "x86_64-manylinux_2_28"),
    ("linux-aarch64", "aarch64-manylinux_2_28"),
    ("macos-arm64", "aarch64-apple-darwin"),
    ("macos-x86_64", "x86_64-apple-darwin"),
)
PLATFORMS = tuple(name for name, _ in _PLATFORMS)
"""Kinds of machines that wheels can be fetched for."""


def uv_program() -> str | None:
    """The uv of this machine: beside this Python, else on the path; None for none."""
    beside = Path(sys.executable).parent / "uv"
    return str(beside) if beside.is_file() else shutil.which("uv")


def built(source: Path, into: Path) -> Path:
    """The wheel of a source folder; one that was made of the same files is taken as it is.

    Args:
        source: has a ``pyproject.toml``.
        into: folder for wheels that were built here.

    Raises:
        ConfigurationError: it cannot be built.
    """
    folder = into / _state_of(source)
    there = sorted(folder.glob("*.whl"))
    if there:
        return there[0]
    into.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=into, prefix=".making-") as work:
        _build(source, Path(work))
        made = sorted(Path(work).glob("*.whl"))
        if len(made) != 1:
            raise ConfigurationError(f"The sources in '{source}' made {len(made)} wheels instead of one.")
        folder.mkdir(exist_ok=True, mode=0o700)
        made[0].replace(folder / made[0].name)
    return folder / made[0].name


def fetched(requirements: Sequence[str], into: Path, *, platform: str, python: str) -> dict[str, Path]:
    """Wheels for another kind of machine, from the index that this machine reaches.

    Args:
        requirements: ``name==version``, all that there is to be.
        into: folder of wheels.
        platform: one of `PLATFORMS`.
        python: as ``3.12``.

    Returns:
        The wheels by canonical names.

    Raises:
        UnavailableError: this machine reaches no index, or the index does not have them.
        ConfigurationError: there is no uv here.
    """
    uv = uv_program()
    if uv is None:
        raise ConfigurationError(
            f"Wheels for {platform} with Python {python} are fetched by uv, which is not on this machine. Install it: "
            "python3 -m pip install uv"
        )
    into.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=into, prefix=".fetching-") as work:
        argv = [
            uv, "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target", f"{work}/target",
            "--python-platform", dict(_PLATFORMS)[platform], "--python-version", python, *requirements,
        ]  # fmt: skip
        told = _run(argv, Path(work), _FETCH_S)
        if told is not None:
            raise UnavailableError(
                f"Wheels for {platform} with Python {python} could not be fetched: {told} Where this machine reaches "
                "no package index, make a bundle on one that does: rbee bundle build"
            )
        found = distributions(path=[f"{work}/target"])
        return {canonicalize_name(one.metadata["Name"]): repacked(one, into) for one in found}


def _build(source: Path, into: Path) -> None:
    uv = uv_program()
    tries: list[list[str]] = []
    if uv is not None:
        build = [uv, "build", "--quiet", "--wheel", "--python", sys.executable, "--out-dir", str(into)]
        # What it needs to build is here already where the same sources were installed: no network is asked then.
        tries = [[*build, "--offline", str(source)], [*build, str(source)]]
    elif importlib.util.find_spec("pip") is not None:
        tries = [[sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(into), str(source)]]
    told: str | None = "neither uv nor pip is here."
    for argv in tries:
        told = _run(argv, into, _BUILD_S)
        if told is None:
            return
    raise ConfigurationError(f"The sources in '{source}', which rbee runs from here, make no wheel: {told}")


def _run(argv: Sequence[str], folder: Path, timeout_s: float) -> str | None:
    """Run a command; its last line where it fails."""
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=timeout_s, cwd=folder, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"no end within {timeout_s:.0f} s."
    except OSError as error:
        return f"{error.strerror}."
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {done.returncode}."


def _state_of(source: Path) -> str:
    """A word that changes with the files of a source."""
    digest = hashlib.sha256(str(source).encode())
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(one for one in folders if one not in _LEFT_OUT and not one.startswith("."))
        for name in sorted(names):
            path = Path(folder) / name
            try:
                found = path.stat()
            except OSError:
                continue
            digest.update(f"{path}\0{found.st_size}\0{found.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]
