"""One machine's executor: starts, stops and measures workers, and holds models."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rbee.hive.app import make_app
    from rbee.hive.service import HiveService
    from rbee.hive.telling import default_hive_id

_HOME = MappingProxyType(
    {"HiveService": "rbee.hive.service", "default_hive_id": "rbee.hive.telling", "make_app": "rbee.hive.app"}
)
"""Where each name is: who looks for workers that were left needs no hive, which takes long to load."""

__all__ = ["HiveService", "default_hive_id", "make_app"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
