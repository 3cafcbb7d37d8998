"""From the name in a request to the model, without touching a disk on the common way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from rbee.catalog import Resolver
from rbee.contract.errors import InvalidRequestError, RbeeError
from rbee.contract.figures import ModelFigures
from rbee.contract.types import ModelVariant
from rbee.queen.held import HeldIndex
from rbee.scheduler import completed, shared
from rbee.telemetry import TelemetryRegistry

_FRESH_S = 60.0
_FRUITLESS_S = 10.0
_LIST_FRESH_S = 10.0
_REMEMBERED = 10_000
_UNKNOWN_FORMAT = "unknown"
_NOTHING = ModelFigures()


class AliasLookup(Protocol):
    """The operator's own names for models."""

    def target(self, name: str) -> str | None:
        """The name that an alias stands for; None when it is no alias."""


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """What a name means.

    Attributes:
        name: as it was looked up: what the request has, or what the alias there stands for.
        variants: artefacts, best first, at least one; any of them will do.
        model_ids: their canonical names, in the same order.
        trusted: see `ModelNames.resolve`; always of an alias.
        whole: the vendors have been asked: there are no others.
    """

    name: str
    variants: tuple[ModelVariant, ...]
    model_ids: tuple[str, ...]
    trusted: bool
    whole: bool


class ModelNames:
    """Knows what names mean, and remembers for a minute what the vendors said.

    An alias comes first, then what lies on a hive's disk under exactly that name, then what a worker serves under it,
    then the vendors, then what lies here under a name that this one leads to.  So what is in the colony can be used
    when no vendor answers, and by anybody who may ask for an answer.

    Args:
        resolver: the vendors installed beside the queen.
        telemetry: models that workers serve, whoever brought them.
        clock: seconds that never go back.
        held: models on the disks of the hives.
        aliases: the operator's; None where there are none.
    """

    def __init__(
        self,
        resolver: Resolver,
        telemetry: TelemetryRegistry,
        clock: Callable[[], float],
        held: HeldIndex | None = None,
        aliases: AliasLookup | None = None,
    ) -> None:
        self._resolver = resolver
        self._telemetry = telemetry
        self._clock = clock
        self._held = HeldIndex() if held is None else held
        self._aliases = aliases
        self._known: dict[tuple[str, bool], tuple[Resolved, float]] = {}
        self._here: dict[tuple[str, bool], tuple[Resolved, int]] = {}
        self._fruitless: dict[tuple[str, bool], float] = {}
        self._listed: tuple[list[ModelVariant], float] | None = None

    async def resolve(self, name: str, *, trusted: bool) -> Resolved:
        """The model behind a name.

        Args:
            name: as a request has it.
            trusted: the caller may name files of this machine and what anybody has published.  What an alias stands
                for may always be used: the operator has chosen it.

        Raises:
            ModelNotFoundError: nobody knows it.
            PermissionDeniedError: only a caller who is trusted may use it.
            RbeeError: as the vendor raises.
        """
        target = None if self._aliases is None else self._aliases.target(name)
        if target is not None:
            name, trusted = target, True
        if self._held.knows(name):
            return self._lying(name, trusted=trusted)
        found = self._known.get((name, trusted))
        if found is not None and self._clock() < found[1]:
            return found[0]
        served = self._telemetry.model_called(name)
        if served is not None:
            # Loaded by somebody else, or from somewhere else: it can be routed to, and not be started.
            foreign = ModelVariant(model_id=served, name=name, vendor="worker", format=_UNKNOWN_FORMAT)
            return self._resolved(name, (foreign,), trusted=trusted, whole=False)
        try:
            return await self._ask(name, trusted=trusted)
        except InvalidRequestError:
            raise
        except RbeeError:
            if not (here := self._held.meant(name)):
                raise
            return self._resolved(name, here, trusted=trusted, whole=True)

    async def widen(self, found: Resolved) -> Resolved | None:
        """The same with all that the vendors have besides, for a model that could not be placed as it lies here.

        None when there is nothing more, or nobody tells.
        """
        name, trusted = key = (found.name, found.trusted)
        if found.whole or self._fruitless.get(key, 0.0) > self._clock():
            return None
        more: Resolved | None = None
        known = self._known.get(key)
        if known is not None and self._clock() < known[1]:
            more = known[0]
        else:
            with contextlib.suppress(RbeeError):
                more = await self._ask(name, trusted=trusted)
        mine = {variant.model_id for variant in found.variants if variant.format != _UNKNOWN_FORMAT}
        if more is None or mine.issuperset(more.model_ids):
            if len(self._fruitless) >= _REMEMBERED:
                self._fruitless.clear()
            self._fruitless[key] = self._clock() + _FRUITLESS_S
            return None
        others = tuple(variant for variant in found.variants if variant.model_id not in more.model_ids)
        return self._resolved(name, more.variants + others, trusted=trusted, whole=True)

    async def known(self) -> list[ModelVariant]:
        """Models that the vendors can bring without further naming; asked anew every few seconds."""
        if self._listed is None or self._clock() >= self._listed[1]:
            self._listed = (await asyncio.to_thread(self._resolver.known), self._clock() + _LIST_FRESH_S)
        return self._listed[0]

    def _lying(self, name: str, *, trusted: bool) -> Resolved:
        """What lies on some disk under that name; put together anew when a disk has changed."""
        found = self._here.get((name, trusted))
        if found is not None and found[1] == self._held.changes:
            return found[0]
        if len(self._here) >= _REMEMBERED:
            self._here.clear()
        made = self._resolved(name, self._held.called(name), trusted=trusted, whole=False)
        self._here[name, trusted] = (made, self._held.changes)
        return made

    async def _ask(self, name: str, *, trusted: bool) -> Resolved:
        """What the vendors have."""
        variants = tuple(await self._resolver.resolve(name, trusted=trusted))
        found = self._resolved(name, variants, trusted=trusted, whole=True)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[name, trusted] = (found, self._clock() + _FRESH_S)
        return found

    def _resolved(self, name: str, variants: Sequence[ModelVariant], *, trusted: bool, whole: bool) -> Resolved:
        return Resolved(
            name=name,
            variants=self._with_figures(variants),
            model_ids=tuple([variant.model_id for variant in variants]),
            trusted=trusted,
            whole=whole,
        )

    def _with_figures(self, variants: Sequence[ModelVariant]) -> tuple[ModelVariant, ...]:
        """The same with their figures, as far as anybody has read them; those of one serve the others."""
        told = [self._figures(variant) for variant in variants]
        common = _NOTHING
        for figures in told:
            common = completed(common, shared(figures))
        if common is _NOTHING:
            return tuple(variants)
        return tuple(
            msgspec.structs.replace(variant, figures=completed(figures, common))
            for variant, figures in zip(variants, told, strict=True)
        )

    def _figures(self, variant: ModelVariant) -> ModelFigures:
        """What the files of a variant tell, where some hive has looked, then what its vendor tells."""
        return completed(self._held.figures(variant.model_id) or _NOTHING, variant.figures or _NOTHING)
