"""Simulated starts of workers: fetch, make room, load; as the queen's demand has hives do it."""

from __future__ import annotations

from collections.abc import Callable

from rbee.contract.types import WorkerState
from rbee.scheduler import Start
from rbee.simulation.clock import Clock
from rbee.simulation.known import Known
from rbee.simulation.machines import Machine
from rbee.simulation.measuring import Measure
from rbee.simulation.models import Models
from rbee.simulation.requests import Request
from rbee.simulation.workers import Worker

_STOP_S = 1.0
"""Until a worker that was idle is gone and its memory free."""
_MIB = 1024**2

Done = Callable[["LoadUnderWay", Worker | None], None]
"""Told that a load has come to an end: with its worker, or with none when it was in vain."""


class LoadUnderWay:
    """One start.

    Attributes:
        start: the decision.
        model: name.
        waiters: requests that wait for it.
        fetched: its files are there.
    """

    def __init__(self, start: Start, model: str) -> None:
        self.start = start
        self.model = model
        self.waiters: list[Request] = []
        self.fetched = start.present


class Loads:
    """Those under way.

    Args:
        clock: simulated time.
        machines: by id of their hives.
        models: what can be loaded.
        known: told of workers that come and go.
        measure: counts.
        done: told of each end.
        keep_s: how long an idle worker is kept; negative for as long as nobody needs the room.
    """

    def __init__(
        self,
        clock: Clock,
        machines: dict[str, Machine],
        models: Models,
        known: Known,
        measure: Measure,
        done: Done,
        keep_s: float,
    ) -> None:
        self._clock = clock
        self._keep_s = keep_s
        self._machines = machines
        self._models = models
        self._known = known
        self._measure = measure
        self._done = done
        self._by_model: dict[str, list[LoadUnderWay]] = {}
        self._number = 0

    def joined(self, request: Request, start: Start | None) -> LoadUnderWay:
        """The load for which a request waits: one under way that is no worse than what would be started, or a new one.

        Args:
            request: that waits.
            start: the decision; None to wait for what is under way.

        Raises:
            LookupError: nothing is under way, nor decided.
        """
        request.waited = True
        under_way = self._by_model.get(request.model, ())
        for load in sorted(under_way, key=lambda load: not load.fetched):
            if start is None or load.fetched or not start.present or start.evict or _same(load.start, start):
                load.waiters.append(request)
                return load
        if start is None:
            raise LookupError(request.model)
        load = LoadUnderWay(start, request.model)
        load.waiters.append(request)
        self._by_model.setdefault(request.model, []).append(load)
        if load.fetched:
            self._make_room(load)
        else:
            machine = self._machines[start.hive_id]
            size = self._models.variants[request.model].size_bytes or 0
            took = size / _MIB / machine.group.fetch_mib_s
            self._clock.at(self._clock.now + took, self._fetched, load)
        return load

    def place_now(self, machine: Machine, start: Start) -> Worker:
        """A worker that is there from the beginning."""
        worker = self._spawn(machine, start)
        self._ready(worker)
        return worker

    def idle(self, worker: Worker) -> None:
        """Nobody asks a worker any more, or yet."""
        if self._keep_s >= 0:
            self._clock.at(self._clock.now + self._keep_s, self._expire, worker, worker.used_at)

    def _expire(self, worker: Worker, used_at: float) -> None:
        if worker.idle and worker.used_at == used_at:
            self._stop(worker)
            self._measure.unloads += 1

    def _stop(self, worker: Worker) -> None:
        worker.state = WorkerState.STOPPING
        self._known.left(worker)
        self._clock.at(self._clock.now + _STOP_S, worker.machine.stop, worker)

    def _fetched(self, load: LoadUnderWay) -> None:
        load.fetched = True
        machine = self._machines[load.start.hive_id]
        machine.held.add(load.model)
        self._make_room(load)

    def _make_room(self, load: LoadUnderWay) -> None:
        machine = self._machines[load.start.hive_id]
        for worker_id in load.start.evict:
            worker = machine.workers.get(worker_id)
            if worker is None or not worker.idle:
                self._over(load, None)
                return
            self._stop(worker)
            self._measure.evictions += 1
        self._clock.at(self._clock.now + (_STOP_S if load.start.evict else 0.0), self._start, load)

    def _start(self, load: LoadUnderWay) -> None:
        machine = self._machines[load.start.hive_id]
        if not machine.room(load.start.device, self._models.need(load.model, machine.group), load.start.shares):
            self._over(load, None)
            return
        worker = self._spawn(machine, load.start)
        self._measure.loads += 1
        self._clock.at(self._clock.now + worker.load_s, self._loaded, load, worker)

    def _loaded(self, load: LoadUnderWay, worker: Worker) -> None:
        # The queen has seen how long it took.
        worker.known_load_s = worker.load_s
        self._ready(worker)
        self._over(load, worker)

    def _ready(self, worker: Worker) -> None:
        worker.state = WorkerState.READY
        worker.used_at = self._clock.now
        self._known.changed(worker)
        self.idle(worker)

    def _spawn(self, machine: Machine, start: Start) -> Worker:
        self._number += 1
        models, group = self._models, machine.group
        worker = machine.start(
            f"worker-{self._number}",
            models.variants[start.model_id],
            start.device,
            models.need(start.model_id, group),
            models.slots(group),
            models.scale(start.model_id),
            start.shares,
        )
        self._known.joined(worker)
        return worker

    def _over(self, load: LoadUnderWay, worker: Worker | None) -> None:
        self._by_model[load.model].remove(load)
        self._measure.failed_loads += worker is None
        self._done(load, worker)


def _same(one: Start, other: Start) -> bool:
    return (one.model_id, one.hive_id) == (other.model_id, other.hive_id)
