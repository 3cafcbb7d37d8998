"""Models as lists show them."""

from __future__ import annotations

from collections.abc import Sequence

from rbee.catalog import CatalogEntry, ModelState
from rbee.contract.wire import ModelRecord


def record(entry: CatalogEntry, state: str, workers: Sequence[str], done_bytes: int | None) -> ModelRecord:
    """One model.

    Args:
        entry: of the catalogue.
        state: see `ModelRecord`.
        workers: ids of those that have it.
        done_bytes: what is here of one that is not whole.
    """
    variant, figures = entry.variant, entry.figures
    context = variant.context_length
    if context is None and figures is not None:
        context = figures.context_length
    return ModelRecord(
        model_id=variant.model_id,
        name=variant.name,
        vendor=variant.vendor,
        format=variant.format,
        state=state,
        quantization=variant.quantization or (None if figures is None else figures.quantization),
        revision=variant.revision,
        size_bytes=variant.size_bytes,
        path=entry.path,
        in_place=variant.in_place is not None,
        context_length=context,
        added_at=entry.added_at if entry.state is ModelState.AVAILABLE else None,
        workers=tuple(workers),
        files=variant.files,
        figures=figures,
        done_bytes=done_bytes,
        error=entry.error,
    )
