"""Servers that were added, as they are shown: never with their keys."""

from __future__ import annotations

from typing import Any

from rbee.builtin.openai_server import Connection


def shown(connection: Connection) -> dict[str, Any]:
    """A connection as JSON shows it."""
    return {
        "name": connection.name,
        "url": connection.url,
        "has_key": connection.key is not None,
        "slots": connection.slots,
        "models": [
            {
                "name": f"openai:{connection.name}/{one.id}",
                "id": one.id,
                "context_length": one.context_length,
                "embeddings": one.embeddings,
            }
            for one in connection.models
        ],
    }
