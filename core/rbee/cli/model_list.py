"""Models as `rbee model ls` and `rbee model show` tell of them."""

from __future__ import annotations

from datetime import datetime

from rbee.cli.format import UNKNOWN, byte_size, line, text
from rbee.contract.figures import ModelFigures
from rbee.contract.wire import ModelRecord

LIST_HEADINGS = ("NAME", "FORMAT", "QUANT", "SIZE", "STATE", "CONTEXT", "WORKERS")
_SHORT = 60


def list_row(model: ModelRecord) -> tuple[str, ...]:
    """Cells under `LIST_HEADINGS`."""
    return (
        model.name,
        model.format,
        text(model.quantization),
        byte_size(model.size_bytes),
        state_of(model),
        text(_context(model)),
        str(len(model.workers)),
    )


def state_of(model: ModelRecord) -> str:
    """State in a word; while it is fetched how far, and why when that has failed."""
    if model.state == "downloading" and model.done_bytes is not None and model.size_bytes:
        return f"downloading {100 * model.done_bytes // model.size_bytes} %"
    if model.state == "failed" and model.error:
        return f"failed: {shortened(model.error)}"
    return model.state


def shortened(sentence: str) -> str:
    """As much of a sentence as fits a table."""
    whole = line(sentence)
    return whole if len(whole) <= _SHORT else f"{whole[: _SHORT - 1].rstrip()}…"


def facts_of(hive_id: str, model: ModelRecord) -> dict[str, str]:
    """Everything known of a model, as lines for a person.

    Args:
        hive_id: where it is.
        model: which.
    """
    facts = {
        "name": model.name,
        "canonical": model.model_id,
        "hive": hive_id,
        "state": model.state if model.state == "failed" else state_of(model),
        "vendor": model.vendor,
        "revision": text(model.revision),
        "format": model.format,
        "quantization": text(model.quantization),
        "size": byte_size(model.size_bytes),
        "path": text(model.path),
        "in place": "yes" if model.in_place else "no",
        "context": text(_context(model)),
        "added": _when(model.added_at),
        "workers": ", ".join(model.workers) or "none",
    }
    if model.done_bytes is not None:
        facts["here"] = byte_size(model.done_bytes)
    if model.error is not None:
        facts["why"] = model.error
    return facts | _figures(model.figures) | {"files": str(len(model.files)) if model.files else "none"}


def file_rows(model: ModelRecord) -> list[tuple[str, str, str]]:
    """Name, size and checksum of each file."""
    return [(one.name, byte_size(one.size_bytes), one.sha256 or one.git_oid or UNKNOWN) for one in model.files]


def _context(model: ModelRecord) -> int | None:
    told = model.figures.context_length if model.figures is not None else None
    return model.context_length if model.context_length is not None else told


def _figures(figures: ModelFigures | None) -> dict[str, str]:
    if figures is None:
        return {}
    template = UNKNOWN if figures.chat_template is None else f"its own, {len(figures.chat_template)} characters"
    return {
        "architecture": text(figures.architecture),
        "parameters": _count(figures.parameters),
        "weights": byte_size(figures.weights_bytes),
        "layers": text(figures.layers),
        "width": text(figures.embedding_length),
        "heads": _heads(figures),
        "vocabulary": text(figures.vocabulary),
        "chat template": template,
    }


def _heads(figures: ModelFigures) -> str:
    if figures.heads is None:
        return UNKNOWN
    return (
        f"{figures.heads}" if figures.kv_heads is None else f"{figures.heads}, {figures.kv_heads} with keys and values"
    )


def _count(number: int | None) -> str:
    """``7.2 billion``, ``540,000``."""
    if number is None:
        return UNKNOWN
    for size, word in ((10**9, "billion"), (10**6, "million")):
        if number >= size:
            return f"{number / size:.1f} {word}"
    return f"{number:,}"


def _when(moment: datetime | None) -> str:
    return UNKNOWN if moment is None else moment.isoformat(timespec="seconds")
