"""Models as lists show them."""

from __future__ import annotations

from collections.abc import Sequence

from rbee.catalog import CatalogEntry
from rbee.contract.types import ModelVariant
from rbee.contract.wire import ModelRecord


def record(variant: ModelVariant, state: str, workers: Sequence[str], entry: CatalogEntry | None = None) -> ModelRecord:
    """One model.

    Args:
        variant: what it is.
        state: see `ModelRecord`.
        workers: ids of those that have it.
        entry: of the catalogue; None while it is fetched for the first time.
    """
    return ModelRecord(
        model_id=variant.model_id,
        name=variant.name,
        vendor=variant.vendor,
        format=variant.format,
        state=state,
        quantization=variant.quantization,
        revision=variant.revision,
        size_bytes=variant.size_bytes,
        path=None if entry is None else entry.path,
        in_place=variant.in_place is not None,
        context_length=variant.context_length,
        added_at=None if entry is None else entry.added_at,
        workers=tuple(workers),
    )
