"""Models that a joined server has of its own, by their names there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rbee.contract import CancelToken, FetchProgress, ModelVariant, ModelVendor
from rbee.contract.errors import ModelNotFoundError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,190}(?::[A-Za-z0-9][A-Za-z0-9._-]{0,60})?")


class JoinedModels(ModelVendor):
    """``ENGINE:NAME``: nothing is fetched; the engine sees whether the server has it.

    Attributes:
        model_format: that only the engine of this server opens.
    """

    names_anything = True
    model_format: ClassVar[str]

    def supports(self, ref: str) -> bool:
        """True for what begins with the engine's name."""
        return ref.startswith(f"{self.name}:")

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        """The one model of that name.

        Raises:
            ModelNotFoundError: it cannot be a name.
        """
        name = ref.partition(":")[2]
        if not _NAME.fullmatch(name):
            raise ModelNotFoundError(
                f"{ref[:200]!r} names no model; write it as {self.name}:NAME or {self.name}:NAME:TAG."
            )
        found = f"{self.name}:{name}"
        return (ModelVariant(model_id=found, name=found, vendor=self.name, format=self.model_format),)

    def fetch(self, variant: ModelVariant, destination: Path, progress: FetchProgress, cancel: CancelToken) -> None:
        """Bring all files, which are none."""
        cancel.raise_if_cancelled()
        progress(0, 0)


def models_of(engine: str, model_format: str) -> type[JoinedModels]:
    """A class of its own for the models of a server, named as its engine."""
    title = "".join(part.capitalize() for part in engine.split("-")) + "Models"
    facts = {"__module__": __name__, "name": engine, "model_format": model_format}
    return type(title, (JoinedModels,), {"__doc__": JoinedModels.__doc__, **facts})
