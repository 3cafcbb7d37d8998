"""All indexes over the workers, told every change of a worker at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rbee.telemetry.index import Index
from rbee.telemetry.levels import Levels
from rbee.telemetry.ranking import Ranking
from rbee.telemetry.records import WorkerEntry
from rbee.telemetry.selection import Order

_Place = tuple[tuple[str | None, str | None, str | None, str | None], Order | None, bool, int | None]


class Change(NamedTuple):
    """What a message has changed for those who wait.

    Attributes:
        told: the worker is found elsewhere than before, or has begun or ceased to take requests.
        opened: it can take a request, as far as is known, and could not before, or not for this model.
    """

    told: bool
    opened: bool


_UNCHANGED = Change(told=False, opened=False)


class WorkerIndexes:
    """Ids of workers by what is asked for."""

    def __init__(self) -> None:
        self.by_model = Index()
        self.by_name = Index()
        self.by_hive = Index()
        self.by_backend = Index()
        self.idle: Ranking[Order] = Ranking()
        self.vram_free = Levels()
        self._routable: dict[str, Order] = {}
        self._places: dict[str, _Place] = {}

    def put(self, entry: WorkerEntry, order: Order | None, vram_free_mb: int | None) -> Change:
        """Enter a worker as it is now.

        Args:
            entry: the worker.
            order: its place among those that take requests, None when it takes none.
            vram_free_mb: what is left on its GPU, None when that is not measured.

        Returns:
            What that changed, as far as anybody waits for it.
        """
        worker_id = entry.worker_id
        idle = order is not None and entry.idle
        names = (entry.model_id, entry.model_name, entry.hive_id, entry.backend)
        place = (names, order, idle, vram_free_mb)
        before = self._places.get(worker_id)
        if before == place:
            return _UNCHANGED
        self._places[worker_id] = place
        moved = before is None or before[0] != names
        if moved:
            for index, key in zip(self._by_name_indexes(), names, strict=True):
                index.put(worker_id, () if key is None else (key,))
        self.vram_free.put(worker_id, vram_free_mb)
        if idle and order is not None:
            self.idle.put(worker_id, order)
        else:
            self.idle.discard(worker_id)
        if order is not None:
            self._routable[worker_id] = order
        else:
            self._routable.pop(worker_id, None)
        told = moved or before is None or (before[1] is None) != (order is None)
        had_room = before is not None and not moved and _has_room(before[1])
        return Change(told=told, opened=_has_room(order) and not had_room)

    def discard(self, worker_id: str) -> None:
        """Take a worker out; harmless when it is not there."""
        self._places.pop(worker_id, None)
        self._routable.pop(worker_id, None)
        self.idle.discard(worker_id)
        self.vram_free.put(worker_id, None)
        for index in self._by_name_indexes():
            index.discard(worker_id)

    def routable(self) -> Iterable[str]:
        """Workers that take requests."""
        return self._routable.keys()

    def routable_count(self) -> int:
        """How many workers take requests."""
        return len(self._routable)

    def best(self, model_id: str) -> str | None:
        """The model's worker with the lowest order among those that take requests, by id among equals."""
        routable = self._routable
        ranked = [(routable[found], found) for found in self.by_model.get(model_id) if found in routable]
        return min(ranked)[1] if ranked else None

    def _by_name_indexes(self) -> tuple[Index, Index, Index, Index]:
        return self.by_model, self.by_name, self.by_hive, self.by_backend


def _has_room(order: Order | None) -> bool:
    """Whether it takes requests and is not full."""
    return order is not None and not order[0]
