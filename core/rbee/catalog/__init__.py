"""Models and engines on one machine: what is there, and how more gets there."""

from rbee.catalog.catalog import ModelCatalog
from rbee.catalog.resolver import Resolver
from rbee.catalog.store import CatalogEntry
from rbee.catalog.workers import WorkerCatalog, WorkerListing

__all__ = ["CatalogEntry", "ModelCatalog", "Resolver", "WorkerCatalog", "WorkerListing"]
