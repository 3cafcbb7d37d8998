"""Models and engines on one machine: what is there, and how more gets there."""

from rbee.catalog.aliases import Aliases
from rbee.catalog.catalog import ModelCatalog
from rbee.catalog.fetching import Brought
from rbee.catalog.resolver import Resolver
from rbee.catalog.store import CatalogEntry, ModelState
from rbee.catalog.workers import WorkerCatalog, WorkerListing

__all__ = [
    "Aliases",
    "Brought",
    "CatalogEntry",
    "ModelCatalog",
    "ModelState",
    "Resolver",
    "WorkerCatalog",
    "WorkerListing",
]
