"""From a folder to a model in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from rbee.contract import Backend, LoadSpec
from rbee.contract.errors import EngineUnavailableError, InsufficientMemoryError, ModelFileError

_LONGEST = 400
_MEMORY = ("insufficient memory", "out of memory", "unable to allocate", "[malloc")
DEFAULT_CONTEXT = 32_768
"""Tokens a request may have where nothing else is said and the model has more: memory is taken as they come."""


class Loaded(msgspec.Struct, frozen=True):
    """A model in memory.

    Attributes:
        model: the library's.
        context_length: tokens a request.
    """

    model: Any
    context_length: int


def check_device(spec: LoadSpec) -> None:
    """Refuse what the library cannot drive.

    Raises:
        EngineUnavailableError: naming the backend and what works instead.
    """
    if spec.backend not in {Backend.METAL, Backend.CPU}:
        raise EngineUnavailableError(
            f"Engine 'mlx' cannot drive {spec.device!r} by {spec.backend}; use an Apple GPU by metal, or a processor."
        )


def model_folder(spec: LoadSpec) -> Path:
    """The folder of a model, of which the path may also be a file.

    Raises:
        ModelFileError: there is none with a configuration and weights.
    """
    if spec.model_path is None:
        raise ModelFileError(
            f"Model {spec.model_id!r} came without files; engine 'mlx' needs a folder with safetensors."
        )
    path = Path(spec.model_path)
    folder = path if path.is_dir() else path.parent
    for wanted, what in (
        ("config.json", "configuration"),
        ("*.safetensors", "weights"),
        ("tokenizer.json", "tokenizer"),
    ):
        if not any(folder.glob(wanted)):
            raise ModelFileError(f"'{folder}' holds no model: it has no {what} ({wanted}). Fetch the model again.")
    return folder


def prepare(threads: int) -> None:
    """What must be set before the library is imported: it reads it then."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(max(1, threads))
    # A model's name that is no folder must not become a download.
    os.environ["HF_HUB_OFFLINE"] = "1"


def load(spec: LoadSpec, folder: Path) -> Loaded:
    """Load the weights.

    Code that comes with a model is never run.

    Raises:
        ModelFileError: the library cannot; with what it said.
        InsufficientMemoryError: it does not fit.
    """
    from mlx_lm.utils import load_model

    try:
        model, config = load_model(folder, lazy=False, strict=True)
    except Exception as error:
        words = " ".join(str(error).split())[:_LONGEST].rstrip(".") or type(error).__name__
        if isinstance(error, MemoryError) or any(hint in words.lower() for hint in _MEMORY):
            raise InsufficientMemoryError(
                f"Model '{folder}' does not fit the memory of {spec.device}: {words}. Take a smaller quantisation."
            ) from error
        raise ModelFileError(f"Model '{folder}' cannot be loaded: {words}.") from error
    return Loaded(model, _context(spec, config))


def _context(spec: LoadSpec, config: Mapping[str, Any]) -> int:
    text = config.get("text_config")
    places = (config, text if isinstance(text, dict) else {})
    own = next((one for place in places if isinstance(one := place.get("max_position_embeddings"), int)), None)
    wanted = spec.context_length or DEFAULT_CONTEXT
    return min(wanted, own) if own and own > 0 else wanted
