"""What the files of a model tell of it, put together over all of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from rbee.catalog.inspection import Inspector
from rbee.catalog.provisioner import parts_of
from rbee.contract.errors import ModelFileError
from rbee.contract.figures import ModelFigures
from rbee.contract.types import ModelVariant

_ONE_FILE = ".gguf"
_WEIGHTS = ".safetensors"
_MOST_FILES = 512


class Heads:
    """Reads heads of files, each in a process that may use little."""

    def __init__(self) -> None:
        self._inspector = Inspector()

    async def of(self, variant: ModelVariant, models: Path, folder: Path | None = None) -> ModelFigures | None:
        """Figures of a model whose files are here; None for a format that is not known here.

        Args:
            variant: the model.
            models: folder of the catalogue.
            folder: where its files are; None for the parts of a fetch, or its own place.

        Raises:
            ModelFileError: a file is cut off, broken, or no model; names it.
        """
        if variant.in_place is not None:
            path = Path(variant.in_place)
            known = await asyncio.to_thread(path.is_dir) or variant.format in {_ONE_FILE[1:], _WEIGHTS[1:]}
            return (await self._inspector.head(path)).figures if known else variant.figures
        folder = folder or parts_of(models, variant.model_id)
        files = [file.name for file in variant.files if file.name.lower().endswith(_ONE_FILE)]
        if len(files) > _MOST_FILES:
            raise ModelFileError(f"Model {variant.name!r} is in {len(files)} parts; at most {_MOST_FILES} are taken.")
        if files:
            heads = [await self._inspector.head(folder / name) for name in files]
            return _together([head.figures for head in heads])
        if any(file.name.lower().endswith(_WEIGHTS) for file in variant.files):
            return (await self._inspector.head(folder)).figures
        return variant.figures


def _together(figures: list[ModelFigures]) -> ModelFigures:
    """The first part tells of the model, and each of its own tensors."""
    if len(figures) == 1:
        return figures[0]
    return msgspec.structs.replace(
        figures[0],
        parameters=_sum([one.parameters for one in figures]),
        weights_bytes=_sum([one.weights_bytes for one in figures]),
    )


def _sum(numbers: list[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None
