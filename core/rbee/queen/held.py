"""What lies on the disks of the colony's hives, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from rbee.contract.figures import ModelFigures
from rbee.contract.types import ModelVariant
from rbee.contract.wire import HeldModel
from rbee.queen.repositories import Repositories

_NONE: Mapping[str, ModelVariant] = MappingProxyType({})


class HeldIndex:
    """Models of all hives, each variant with the figures that its files tell.  Names are compared as they are."""

    def __init__(self) -> None:
        self._by_hive: dict[str, dict[str, ModelVariant]] = {}
        self._holders: dict[str, dict[str, ModelVariant]] = {}
        self._called: dict[str, dict[str, set[str]]] = {}
        self._repositories = Repositories()
        self.changes = 0
        """How often it has changed."""

    def put(self, hive_id: str, models: Iterable[HeldModel]) -> None:
        """Enter all that a hive has, in place of what it had before.

        Of models with the same canonical name the first counts: a hive has each only once.
        """
        self.discard(hive_id)
        self.changes += 1
        mine = self._by_hive[hive_id] = {}
        for model in models:
            variant = model.variant
            if variant.model_id in mine:
                continue
            if model.figures is not None:
                variant = msgspec.structs.replace(variant, figures=model.figures)
            mine[variant.model_id] = variant
            self._repositories.put(variant.model_id)
            self._holders.setdefault(variant.model_id, {})[hive_id] = variant
            for name in {variant.model_id, variant.name}:
                self._called.setdefault(name, {}).setdefault(variant.model_id, set()).add(hive_id)

    def discard(self, hive_id: str) -> None:
        """Forget a hive; harmless when nothing is known of it."""
        self.changes += 1
        for model_id, variant in self._by_hive.pop(hive_id, {}).items():
            holders = self._holders[model_id]
            del holders[hive_id]
            if not holders:
                del self._holders[model_id]
                self._repositories.discard(model_id)
            for name in {model_id, variant.name}:
                called = self._called[name]
                called[model_id].discard(hive_id)
                if not called[model_id]:
                    del called[model_id]
                if not called:
                    del self._called[name]

    def hives(self) -> list[str]:
        """Hives of which something is known."""
        return list(self._by_hive)

    def on(self, hive_id: str) -> Mapping[str, ModelVariant]:
        """What lies on one hive's disk, by canonical name."""
        return self._by_hive.get(hive_id, _NONE)

    def holders(self, model_id: str) -> Mapping[str, ModelVariant]:
        """Hives that have a model, by id."""
        return self._holders.get(model_id, _NONE)

    def figures(self, model_id: str) -> ModelFigures | None:
        """What some hive has read in a model's files; None where none has it, or has looked."""
        known = (variant.figures for variant in self.holders(model_id).values() if variant.figures is not None)
        return next(known, None)

    def models(self) -> list[ModelVariant]:
        """One variant a canonical name."""
        return [next(iter(holders.values())) for holders in self._holders.values()]

    def knows(self, name: str) -> bool:
        """Whether a model of that canonical or short name lies anywhere."""
        return name in self._called

    def called(self, name: str) -> tuple[ModelVariant, ...]:
        """Models of that canonical or short name, the largest first."""
        found = self._called.get(name, {})
        return _ordered(self._by_hive[min(hive_ids)][model_id] for model_id, hive_ids in found.items())

    def meant(self, name: str) -> tuple[ModelVariant, ...]:
        """Models that a less exact name leads to: its repository without a quantisation, for one; the largest first."""
        return _ordered(next(iter(self._holders[model_id].values())) for model_id in self._repositories.meant(name))


def _ordered(variants: Iterable[ModelVariant]) -> tuple[ModelVariant, ...]:
    return tuple(sorted(variants, key=lambda variant: (-(variant.size_bytes or 0), variant.model_id)))
