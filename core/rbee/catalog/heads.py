"""What the files of a model tell of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from rbee.catalog.inspection import Inspector
from rbee.contract.figures import ModelFigures
from rbee.contract.types import ModelVariant

_ONE_FILE = ".gguf"
_WEIGHTS = ".safetensors"


class Heads:
    """Reads heads of files, each in a process that may use little.

    Args:
        environment: of this program; the reader gets what Python needs of it.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._inspector = Inspector(environment)

    async def of(self, variant: ModelVariant, folder: Path) -> ModelFigures | None:
        """Figures of a model whose files are here; None for a format that is not known here.

        Args:
            variant: the model.
            folder: where its files are, unless they lie in place.

        Raises:
            ModelFileError: a file is cut off, broken, or no model; names it.
            UnavailableError: no process can be started for it now.
        """
        if variant.in_place is not None:
            path = Path(variant.in_place)
            known = await asyncio.to_thread(path.is_dir) or variant.format in {_ONE_FILE[1:], _WEIGHTS[1:]}
            return (await self._inspector.head(path)).figures if known else variant.figures
        first = next((file.name for file in variant.files if file.name.lower().endswith(_ONE_FILE)), None)
        if first is not None:
            # Of a model in several parts all are read from the first one on.
            return (await self._inspector.head(folder / first)).figures
        if any(file.name.lower().endswith(_WEIGHTS) for file in variant.files):
            return (await self._inspector.head(folder)).figures
        return variant.figures
