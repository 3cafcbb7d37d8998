"""From a model's name to what is meant on this machine: what is here first, then what the vendors have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rbee.catalog import CatalogEntry, ModelCatalog, Resolver
from rbee.contract.errors import ModelFileError, ModelNotFoundError, PermissionDeniedError, UnreachableError
from rbee.contract.types import EngineInfo, ModelVariant
from rbee.hive.supervisor import Supervisor

if TYPE_CHECKING:
    from rbee.hive.service import HiveService


class Naming:
    """Knows what a name means here.

    Args:
        hive: its engines decide between variants.
        catalog: models that are here.
        resolver: names to models.
        supervisor: its children have models, too.
    """

    def __init__(self, hive: HiveService, catalog: ModelCatalog, resolver: Resolver, supervisor: Supervisor) -> None:
        self._hive = hive
        self._catalog = catalog
        self._resolver = resolver
        self._supervisor = supervisor

    async def choose(self, ref: str) -> ModelVariant:
        """The model to start: what is here by that name, else the best variant that some engine here opens.

        What is here needs no vendor: it can be started when its source does not answer, and as it was fetched.
        """
        entry = await self.here(ref)
        # A file in place may have been replaced by its owner: its vendor looks at it anew, which costs little.
        if entry is not None and entry.variant.in_place is None and entry.variant.files:
            return entry.variant
        return await self.newest(ref)

    async def newest(self, ref: str) -> ModelVariant:
        """The best variant that some engine here opens, else the best, as the vendors have it now."""
        variants = await self._resolver.resolve(ref, trusted=True)
        for variant in variants:
            if any(engine.available and variant.format in engine.formats for engine in self._engines()):
                return variant
        return variants[0]

    async def here(self, ref: str) -> CatalogEntry | None:
        """The model of that canonical name or, where it is the only one called so, of that short name."""
        found = await self._catalog.find(ref)
        if found is not None:
            return found
        named = [entry for entry in await self._catalog.list() if entry.variant.name == ref]
        return named[0] if len(named) == 1 and await self._catalog.has_files(named[0]) else None

    async def meant(self, ref: str) -> list[str]:
        """Canonical names that a reference may mean here, the likeliest first, at least one.

        What is here, or failed to get here, is looked at first: it can be named also when its vendor is gone or does
        not answer.
        """
        entries = [*(entry.variant for entry in await self._catalog.entries()), *self._catalog.fetching()]
        known = {variant.model_id for variant in entries} | {child.model_id for child in self._supervisor.children()}
        if ref in known:
            return [ref]
        named = sorted({variant.model_id for variant in entries if variant.name == ref})
        if len(named) == 1:
            return named
        try:
            found = [variant.model_id for variant in await self._resolver.resolve(ref, trusted=True)]
        except (ModelNotFoundError, ModelFileError, PermissionDeniedError, UnreachableError):
            if named:
                return named
            raise
        # Of several variants, those that are here are meant.
        return sorted(found, key=lambda model_id: model_id not in known)

    def _engines(self) -> Sequence[EngineInfo]:
        return self._hive.capabilities().engines
