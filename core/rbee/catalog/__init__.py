"""Models on one machine: what is there, and how more gets there."""

from rbee.catalog.catalog import ModelCatalog
from rbee.catalog.resolver import Resolver
from rbee.catalog.store import CatalogEntry

__all__ = ["CatalogEntry", "ModelCatalog", "Resolver"]
