"""From the name in a request to the model, without touching a disk on the common way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from rbee.catalog import Resolver
from rbee.catalog.answers import Answers
from rbee.contract.errors import RbeeError
from rbee.contract.figures import ModelFigures
from rbee.contract.types import ModelVariant
from rbee.queen.held import HeldIndex
from rbee.queen.repositories import Repositories
from rbee.scheduler import completed, pooled
from rbee.telemetry import TelemetryRegistry

_FRESH_S = 60.0
_STALE_S = 600.0
_FAILED_S = 10.0
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
    then what lies or is served here under a name that this one leads to, then the vendors.  So what is in the colony
    can be used when no vendor answers, by anybody who may ask for an answer, and without waiting for one.

    Vendors are asked once for all who want the same.  An answer older than a minute is given while it is renewed; a
    failure is told for some seconds without asking again.

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
        self._held = HeldIndex() if held is None else held
        self._aliases = aliases
        self._served = Repositories()
        self._vendors: Answers[tuple[str, bool], tuple[ModelVariant, ...]] = Answers(
            self._ask, clock, fresh_s=_FRESH_S, stale_s=_STALE_S, failed_s=_FAILED_S
        )
        self._made: dict[tuple[str, bool], tuple[Resolved, tuple[ModelVariant, ...], int]] = {}
        self._here: dict[tuple[str, bool], tuple[Resolved, int]] = {}

    async def close(self) -> None:
        """Ask no vendor any more."""
        await self._vendors.close()

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
        name, trusted = self.meant(name, trusted=trusted)
        found = self.present(name, trusted=trusted)
        if found is not None:
            return found
        return self._resolved(name, await self._vendors.get((name, trusted)), trusted=trusted, whole=True)

    def meant(self, name: str, *, trusted: bool) -> tuple[str, bool]:
        """What an alias stands for, and that it may be used; any other name as it is."""
        target = None if self._aliases is None else self._aliases.target(name)
        return (name, trusted) if target is None else (target, True)

    def present(self, name: str, *, trusted: bool) -> Resolved | None:
        """What a name that is no alias means in the colony; None when the vendors would have to be asked."""
        if self._held.knows(name):
            return self._lying(name, trusted=trusted)
        served = self._telemetry.model_called(name)
        here = (_foreign(served, name),) if served is not None else self._near(name)
        return self._resolved(name, here, trusted=trusted, whole=False) if here else None

    @property
    def changes(self) -> int:
        """How often what lies in the colony has changed: while it is the same, so are the answers of `present`."""
        return self._held.changes

    async def widen(self, found: Resolved) -> Resolved | None:
        """The same with all that the vendors have besides, for a model that could not be placed as it lies here.

        None when there is nothing more, or nobody tells.
        """
        if found.whole:
            return None
        try:
            more = await self._vendors.get((found.name, found.trusted))
        except RbeeError:
            return None
        more_ids = {variant.model_id for variant in more}
        if more_ids <= {variant.model_id for variant in found.variants if variant.format != _UNKNOWN_FORMAT}:
            return None
        others = tuple(variant for variant in found.variants if variant.model_id not in more_ids)
        return self._resolved(found.name, more + others, trusted=found.trusted, whole=True)

    async def known(self) -> list[ModelVariant]:
        """Models that the vendors can bring without further naming; asked anew every few seconds."""
        return await self._resolver.known()

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

    def _near(self, name: str) -> tuple[ModelVariant, ...]:
        """What lies on some disk, or is served, under a name that this one leads to."""
        lying = self._held.meant(name)
        self._served.replace(self._telemetry.models())
        served = set(self._served.meant(name)).difference(variant.model_id for variant in lying)
        return lying + tuple(_foreign(model_id, name) for model_id in sorted(served))

    async def _ask(self, key: tuple[str, bool]) -> tuple[ModelVariant, ...]:
        """What the vendors have."""
        name, trusted = key
        return tuple(await self._resolver.resolve(name, trusted=trusted))

    def _resolved(self, name: str, variants: tuple[ModelVariant, ...], *, trusted: bool, whole: bool) -> Resolved:
        """The meaning; the same one again for the same variants, until a disk has changed."""
        found = self._made.get((name, trusted))
        if found is not None and found[0].whole is whole and found[2] == self._held.changes and found[1] == variants:
            return found[0]
        made = Resolved(
            name=name,
            variants=self._with_figures(variants),
            model_ids=tuple([variant.model_id for variant in variants]),
            trusted=trusted,
            whole=whole,
        )
        if len(self._made) >= _REMEMBERED:
            self._made.clear()
        self._made[name, trusted] = (made, variants, self._held.changes)
        return made

    def _with_figures(self, variants: Sequence[ModelVariant]) -> tuple[ModelVariant, ...]:
        """The same with their figures, as far as anybody has read them; those of one serve the others."""
        return pooled([self._looked_into(variant) for variant in variants])

    def _looked_into(self, variant: ModelVariant) -> ModelVariant:
        """A variant with what its files tell, where some hive has looked, and what its vendor tells besides."""
        read = self._held.figures(variant.model_id)
        if read is None:
            return variant
        return msgspec.structs.replace(variant, figures=completed(read, variant.figures or _NOTHING))


def _foreign(model_id: str, name: str) -> ModelVariant:
    """Loaded by somebody else, or from somewhere else: it can be routed to, and not be started."""
    return ModelVariant(model_id=model_id, name=name, vendor="worker", format=_UNKNOWN_FORMAT)
