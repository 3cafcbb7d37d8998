"""What can be said about a load before the library is troubled with it."""

from __future__ import annotations

from pathlib import Path

from rbee.contract import Backend, LoadSpec
from rbee.contract.errors import EngineUnavailableError, ModelFileError


def check_device(spec: LoadSpec, engine: str) -> None:
    """Refuse everything but CUDA.

    Raises:
        EngineUnavailableError: naming the backend and what works instead.
    """
    if spec.backend != Backend.CUDA:
        raise EngineUnavailableError(
            f"engine '{engine}' cannot drive '{spec.device}' by {spec.backend}; use a GPU by cuda, or another engine"
        )


def model_folder(path: str | None, name: str, engine: str) -> Path:
    """The folder of a model, of which `path` may also be a file.

    Raises:
        ModelFileError: there is none with a ``config.json``.
    """
    if path is None:
        raise ModelFileError(f"model '{name}' came without files; engine '{engine}' needs a folder with safetensors")
    folder = Path(path)
    folder = folder if folder.is_dir() else folder.parent
    if not (folder / "config.json").is_file():
        raise ModelFileError(f"'{folder}' holds no model: it has no 'config.json'. Name a folder that has one.")
    if not any(folder.glob("*.safetensors")):
        raise ModelFileError(f"'{folder}' holds no weights: it has no '*.safetensors'. Fetch the model again.")
    return folder
