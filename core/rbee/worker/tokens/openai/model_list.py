"""The list of models."""

from __future__ import annotations

import msgspec


def models(model_id: str, created: int, context_length: int | None) -> bytes:
    """Body of ``GET /v1/models``."""
    card = {
        "id": model_id,
        "object": "model",
        "created": created,
        "owned_by": "rbee",
        "context_length": context_length,
    }
    return msgspec.json.encode({"object": "list", "data": [card]})
