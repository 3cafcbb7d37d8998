"""Data bases: opened, brought up to date and used in turn, the same way for every store."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rbee.storage.columns import UtcDateTime
    from rbee.storage.database import DataBase
    from rbee.storage.later import Later
    from rbee.storage.schema import Schema
    from rbee.storage.store import Store, in_turn
    from rbee.storage.urls import file_url, shown_url

_HOME = MappingProxyType(
    {
        "DataBase": "rbee.storage.database",
        "Later": "rbee.storage.later",
        "Schema": "rbee.storage.schema",
        "Store": "rbee.storage.store",
        "UtcDateTime": "rbee.storage.columns",
        "file_url": "rbee.storage.urls",
        "in_turn": "rbee.storage.store",
        "shown_url": "rbee.storage.urls",
    }
)
"""Where each name is: loaded when it is asked for, since some load what reads and writes tables."""

__all__ = [
    "DataBase",
    "Later",
    "Schema",
    "Store",
    "UtcDateTime",
    "file_url",
    "in_turn",
    "shown_url",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
