"""What can be said about a load before the library is troubled with it."""

from __future__ import annotations

import sys
from pathlib import Path

from rbee.contract import Backend, LoadSpec
from rbee.contract.errors import EngineUnavailableError, InsufficientMemoryError, ModelFileError

MAGIC = b"GGUF"
SMALLEST_FILE = 64
"""Bytes; the header alone has 24, a model without a single tensor is none."""


def check_device(spec: LoadSpec) -> None:
    """Refuse a way of driving the device that the library does not have here.

    Raises:
        EngineUnavailableError: naming the backend and what works instead.
    """
    if spec.backend == Backend.CPU:
        return
    if spec.backend == Backend.METAL and sys.platform == "darwin":
        return
    raise EngineUnavailableError(
        f"engine 'llamacpp' cannot drive '{spec.device}' by {spec.backend} on {sys.platform}; "
        "use a CPU device, or metal on a Mac"
    )


def check_file(spec: LoadSpec) -> str:
    """The path of the model file, when it looks like one and can fit.

    Raises:
        ModelFileError: it is missing, unreadable, too short or not GGUF.
        InsufficientMemoryError: the file alone is larger than the memory allowed.
    """
    if spec.model_path is None:
        raise ModelFileError(f"model '{spec.model_id}' came without a file; engine 'llamacpp' needs a GGUF file")
    path = Path(spec.model_path)
    reason = looks_like_gguf(path)
    if reason is not None:
        raise _refusal(path, reason)
    size = path.stat().st_size
    if spec.memory_bytes is not None and size > spec.memory_bytes:
        raise InsufficientMemoryError(
            f"model file '{path}' has {size >> 20} MiB and may use {spec.memory_bytes >> 20} MiB "
            f"on {spec.device}; choose a smaller quantisation or a larger device"
        )
    return str(path)


def looks_like_gguf(path: Path) -> str | None:
    """Why a file cannot be one that the library opens; None when it may be."""
    try:
        if not path.is_file():
            return "there is no such file"
        size = path.stat().st_size
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as error:
        return error.strerror or str(error)
    if magic != MAGIC:
        return "it does not begin with the letters GGUF"
    return f"it ends after {size} bytes" if size < SMALLEST_FILE else None


def _refusal(path: Path, reason: str) -> ModelFileError:
    return ModelFileError(
        f"model file '{path}' cannot be loaded: {reason}. Fetch it again or check that it is a GGUF file."
    )
