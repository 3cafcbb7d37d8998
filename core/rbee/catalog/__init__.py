"""Models and engines on one machine: what is there, and how more gets there."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rbee.catalog.aliases import Aliases
    from rbee.catalog.catalog import ModelCatalog
    from rbee.catalog.fetching import Brought
    from rbee.catalog.resolver import Resolver
    from rbee.catalog.searching import Searches
    from rbee.catalog.store import CatalogEntry, ModelState
    from rbee.catalog.workers import WorkerCatalog, WorkerListing

_HOME = MappingProxyType(
    {
        "Aliases": "rbee.catalog.aliases",
        "Brought": "rbee.catalog.fetching",
        "CatalogEntry": "rbee.catalog.store",
        "ModelCatalog": "rbee.catalog.catalog",
        "ModelState": "rbee.catalog.store",
        "Resolver": "rbee.catalog.resolver",
        "Searches": "rbee.catalog.searching",
        "WorkerCatalog": "rbee.catalog.workers",
        "WorkerListing": "rbee.catalog.workers",
    }
)
"""Where each name is: loaded when it is asked for, since some load what reads and writes tables."""

__all__ = [
    "Aliases",
    "Brought",
    "CatalogEntry",
    "ModelCatalog",
    "ModelState",
    "Resolver",
    "Searches",
    "WorkerCatalog",
    "WorkerListing",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
