"""From a model's name to what is meant on this machine: what is here first, then what the vendors have."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from rbee.catalog import CatalogEntry, ModelCatalog, Resolver
from rbee.catalog.matching import called, several
from rbee.contract.errors import ConflictError, InvalidRequestError, RbeeError
from rbee.contract.types import ModelVariant
from rbee.contract.wire import WorkerSpawn
from rbee.hive.operations.choosing import Choosing
from rbee.hive.supervisor import Supervisor
from rbee.jobs import Narrator
from rbee.scheduler import Choice, Unsuitable

_ACTOR = "hive"
_ACTION = "choose"


class Naming:
    """Knows what a name means here.

    Args:
        catalog: models that are here.
        resolver: names to models.
        supervisor: its children have models, too.
        choosing: decides between variants.
    """

    def __init__(self, catalog: ModelCatalog, resolver: Resolver, supervisor: Supervisor, choosing: Choosing) -> None:
        self._catalog = catalog
        self._resolver = resolver
        self._supervisor = supervisor
        self._choosing = choosing

    async def choose(self, wanted: WorkerSpawn, device: str | None, say: Narrator) -> ModelVariant:
        """The model to start: what is here by that name, else the variant of the vendors' that suits best.

        What is here needs no vendor: it can be started when its source does not answer, and as it was fetched.

        Args:
            wanted: by which name, and with what.
            device: id of the device that is meant; another one may do where nothing suits it and none was named.
            say: told what was chosen, and why.
        """
        ref = wanted.model
        entry = await self._catalog.find(ref)
        if entry is not None and _is_kept(entry):
            return entry.variant
        kept = [one for one in await self._catalog.list() if _is_kept(one)]
        named = await self._whole([one for one in kept if one.variant.name == ref])
        if len(named) == 1:
            return named[0]
        if named and isinstance(found := await self._on(named, wanted, device), Choice):
            return _told(ref, named, found, say)
        variants: Sequence[ModelVariant]
        try:
            variants = await self._resolver.resolve(ref, trusted=True)
        except InvalidRequestError:
            raise
        except RbeeError:
            variants = called(ref, await self._whole(kept))
            if not variants:
                raise
        return _told(ref, variants, await self._on(variants, wanted, device), say)

    async def newest(self, ref: str, say: Narrator) -> ModelVariant:
        """The variant that suits this machine best, as the vendors have it now.

        Where none suits any engine here, the vendor's first: an engine may come later.
        """
        variants = await self._resolver.resolve(ref, trusted=True)
        return _told(ref, variants, await self._choosing.best(variants), say)

    async def here(self, ref: str) -> ModelVariant | None:
        """The one model that is whole here and that a reference can mean; None for none, and for several."""
        entry = await self._catalog.find(ref)
        if entry is not None:
            return entry.variant
        found = called(ref, await self._whole([one for one in await self._catalog.list() if _is_kept(one)]))
        return found[0] if len(found) == 1 else None

    async def meant(self, ref: str) -> list[str]:
        """Canonical names that a reference may mean here, the likeliest first, at least one.

        What is here, or failed to get here, is looked at first: it can be named also when its vendor is gone or does
        not answer.
        """
        entries = await self._entries()
        known = self._known(entries)
        if ref in known:
            return [ref]
        if here := called(ref, entries):
            return sorted(variant.model_id for variant in here)
        found = [variant.model_id for variant in await self._resolver.resolve(ref, trusted=True)]
        # Of several variants, those that are here are meant.
        return sorted(found, key=lambda model_id: model_id not in known)

    async def one(self, ref: str) -> str:
        """The canonical name that a reference means here, or would mean.

        Raises:
            ConflictError: several models here may be meant.
        """
        found = await self.meant(ref)
        known = self._known(await self._entries())
        here = [model_id for model_id in found if model_id in known]
        if len(here) > 1:
            raise ConflictError(several(ref, here, "this machine"))
        return found[0]

    async def _on(
        self, variants: Sequence[ModelVariant], wanted: WorkerSpawn, device: str | None
    ) -> Choice | Unsuitable:
        best = functools.partial(
            self._choosing.best,
            variants,
            engine=wanted.worker,
            context_length=wanted.context_length,
            slots=wanted.slots,
            learned=wanted.learned,
        )
        found = await best(device=device)
        return await best() if isinstance(found, Unsuitable) and wanted.device in {None, ""} else found

    async def _whole(self, entries: Sequence[CatalogEntry]) -> list[ModelVariant]:
        return [entry.variant for entry in entries if await self._catalog.has_files(entry)]

    async def _entries(self) -> list[ModelVariant]:
        """Models that are here, on their way, or failed to come; one variant a canonical name."""
        listed = [entry.variant for entry in await self._catalog.entries()]
        return list({variant.model_id: variant for variant in [*self._catalog.fetching(), *listed]}.values())

    def _known(self, entries: Sequence[ModelVariant]) -> set[str]:
        return {variant.model_id for variant in entries} | {child.model_id for child in self._supervisor.children()}


def _is_kept(entry: CatalogEntry) -> bool:
    """Whether a model needs no second look.  A file in place may have been replaced by its owner."""
    return entry.variant.in_place is None and bool(entry.variant.files)


def _told(ref: str, variants: Sequence[ModelVariant], found: Choice | Unsuitable, say: Narrator) -> ModelVariant:
    """The variant that was chosen, after the story has it."""
    if isinstance(found, Unsuitable):
        variant = variants[0]
        say.say(_ACTOR, _ACTION, f"{variant.name} cannot be run here yet: {'; '.join(found.reasons)}", variant.model_id)
        return variant
    variant = found.variant
    if found.fits is False:
        # The last of the reasons are those of the one that was chosen.
        why = "; ".join(found.reasons[-2:] if len(variants) > 1 else found.reasons[-1:])
        say.say(_ACTOR, _ACTION, f"{variant.name} does not fit {found.device.id}: {why}", variant.model_id)
    elif len(variants) > 1:
        say.say(_ACTOR, _ACTION, f"{ref} is {variant.model_id}: {found.reasons[-1]}", variant.model_id)
    return variant
