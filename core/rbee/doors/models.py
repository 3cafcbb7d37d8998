"""What the doors ask of whoever knows the models and the workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from rbee.contract.errors import ModelNotFoundError
from rbee.contract.wire import WorkerRecord


class ModelList(Protocol):
    """The colony's models and workers."""

    async def models(self, *, trusted: bool) -> list[dict[str, Any]]:
        """Models as ``GET /v1/models`` lists them.

        Args:
            trusted: the caller has sent the colony's token.
        """

    def workers(self) -> Sequence[WorkerRecord]:
        """Every worker known."""

    def expire(self, name: str, *, trusted: bool) -> None:
        """Unload a model, wherever it is loaded, as soon as nobody asks it; harmless where it is not loaded.

        Args:
            name: short, canonical, or an alias.
            trusted: the caller has sent the colony's token.
        """


async def model_named(models: ModelList, name: str, *, trusted: bool) -> dict[str, Any]:
    """One model as it is listed.

    Args:
        models: the colony's.
        name: short, canonical, or an alias.
        trusted: the caller has sent the colony's token.

    Raises:
        ModelNotFoundError: nobody may ask for it.
    """
    for found in await models.models(trusted=trusted):
        # A canonical name is the model's own, not that of its aliases.
        if name == found["id"] or (name == found["rbee"].get("model_id") and "alias_of" not in found["rbee"]):
            return found
    raise ModelNotFoundError(f"There is no model {name!r}; GET /api/tags lists what there is.")


def workers_of(workers: Sequence[WorkerRecord], model: dict[str, Any]) -> list[WorkerRecord]:
    """Those of the workers that are of a model, as it is listed."""
    model_id = model["rbee"].get("model_id")
    return [
        worker
        for worker in workers
        if worker.model_id is not None and (worker.model_id == model_id or (worker.model_name or "") == model["id"])
    ]


def context_of(workers: Sequence[WorkerRecord]) -> int | None:
    """Tokens of context that each of these workers has at least; None when none of them tells."""
    return min((worker.context_length for worker in workers if worker.context_length is not None), default=None)
