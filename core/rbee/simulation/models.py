"""The models of a load, as the scheduler and the machines need them."""

from __future__ import annotations

from rbee.queen.history import request_view
from rbee.scheduler import Estimate, PlaceRequest, estimate
from rbee.settings import Settings
from rbee.simulation.fleet import Fleet, HiveGroup
from rbee.simulation.load import Load
from rbee.simulation.requests import Request


class Models:
    """All copies of all models.

    Args:
        load: that names them.
        fleet: that tells speeds for a model of some size.
        settings: of the colony: slots and context of its workers.

    Attributes:
        variants: by name.
    """

    def __init__(self, load: Load, fleet: Fleet, settings: Settings) -> None:
        self._worker = settings.worker
        self.variants = {name: one.variant(name) for one in load.models for name in one.names()}
        self._called = {one.name: one.names() for one in load.models}
        self._scales = {name: one.weights_gib / fleet.reference_gib for one in load.models for name in one.names()}
        self._needs: dict[tuple[str, int], Estimate] = {}

    def scale(self, model: str) -> float:
        """Size of a model by that for which speeds are told."""
        return self._scales[model]

    def slots(self, group: HiveGroup) -> int:
        """Requests that a worker of a group serves at the same time."""
        return group.slots or self._worker.slots

    def need(self, model: str, group: HiveGroup) -> Estimate:
        """Memory of a worker of a group."""
        key = (model, self.slots(group))
        found = self._needs.get(key)
        if found is None:
            found = self._needs[key] = estimate(self.variants[model], self._worker.context_length, key[1])
        return found

    def wanted(self, request: Request) -> PlaceRequest:
        """What the scheduler is asked."""
        return PlaceRequest(
            variants=(self.variants[request.model],),
            context_length=self._worker.context_length,
            slots=self._worker.slots,
            view=request_view(request.traits),
        )

    def copy(self, name: str, number: int) -> str:
        """The model that a group's name stands for, for its `number`-th use, from 0."""
        names = self._called.get(name, (name,))
        return names[number % len(names)]

    def all_of(self, name: str) -> tuple[str, ...]:
        """All that a group's name stands for; none when it is not known."""
        return self._called.get(name, (name,) if name in self.variants else ())

    def known(self) -> list[str]:
        """Names that a fleet may use."""
        return sorted(self._called)
