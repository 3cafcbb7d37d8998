"""A colony on simulated time: the scheduler's own decisions, and what comes of them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

from rbee.contract.errors import InvalidRequestError
from rbee.contract.policy import Policy
from rbee.queen.keeping import configured_keep_alive_s
from rbee.scheduler import Decision, HiveView, PlaceRequest, Refusal, Start, Use, Wait, place
from rbee.settings import Settings
from rbee.simulation.clock import Clock
from rbee.simulation.devices import Stream
from rbee.simulation.fleet import Fleet
from rbee.simulation.known import Known
from rbee.simulation.load import Load
from rbee.simulation.loads import Loads, LoadUnderWay
from rbee.simulation.machines import Machine
from rbee.simulation.measuring import Measure, Outcome
from rbee.simulation.models import Models
from rbee.simulation.queues import Queue
from rbee.simulation.requests import BLOCK_TOKENS, Request
from rbee.simulation.workers import Worker

_TRIES = 3
_PAUSE_S = 0.5
"""As the queen's: a hive that knew better is asked again with a fresh picture."""


class Colony:
    """One run.

    Args:
        fleet: the machines.
        load: what is measured by.
        requests: in the order of their arrival.
        policy: orders workers.
        settings: of the colony.
        seed: of when each hive beats.

    Attributes:
        machines: by id of their hives.
        deciding_s: seconds of real time that decisions took.

    Raises:
        InvalidRequestError: a worker of the fleet does not fit its machine.
    """

    def __init__(
        self, fleet: Fleet, load: Load, requests: Iterator[Request], policy: Policy, settings: Settings, seed: int
    ) -> None:
        self._settings = settings
        self._policy = policy
        self._requests = requests
        self._load = load
        self.clock = Clock()
        self.known = Known()
        self.measure = Measure(load)
        self.models = Models(load, fleet, settings)
        self.machines: dict[str, Machine] = {}
        self.deciding_s = 0.0
        self._over_at = 0.0
        self._queues = {name: Queue() for name in self.models.variants}
        self._loads = Loads(
            self.clock,
            self.machines,
            self.models,
            self.known,
            self.measure,
            self._load_over,
            configured_keep_alive_s(settings),
        )
        self._populate(fleet, random.Random(seed))  # noqa: S311  # repeatable is what is wanted
        self._arrive()

    def step(self) -> bool:
        """Let the next event happen; False when all is over."""
        return self.clock.step()

    def outcome(self) -> Outcome:
        """What came of it."""
        return self.measure.outcome(self._policy.name, self._over_at, self._utilisation())

    # --- the machines --------------------------------------------------------------------------------------------

    def _populate(self, fleet: Fleet, dice: random.Random) -> None:
        every = self._settings.hive.telemetry_s
        taken: dict[str, int] = {}
        for group in fleet.hives:
            digits = len(str(group.count))
            held = frozenset(one for name in (*group.models, *group.workers) for one in self.models.all_of(name))
            for number in range(1, group.count + 1):
                machine = Machine(
                    f"{group.name}-{number:0{digits}}",
                    group,
                    held,
                    self.clock,
                    every,
                    dice.uniform(0, every),
                    self._ended,
                    self.known.changed,
                )
                self.machines[machine.hive_id] = machine
                for name, workers in group.workers.items():
                    for _ in range(workers):
                        use = taken[name] = taken.get(name, -1) + 1
                        self._settle(machine, self.models.copy(name, use))
                machine.settle()

    def _settle(self, machine: Machine, model: str) -> None:
        """A worker that is there from the beginning, where the scheduler would put it."""
        machine.settle()
        view = machine.view(model)
        request = PlaceRequest(
            variants=(self.models.variants[model],),
            hive_id=machine.hive_id,
            context_length=self._settings.worker.context_length,
            slots=self.models.slots(machine.group),
        )
        decision = place(request, (), lambda: (view,), self._policy)
        if isinstance(decision, Start) and not decision.evict:
            self._loads.place_now(machine, decision)
            return
        if isinstance(decision, Refusal):
            why = "; ".join(reason.text for reason in decision.reasons)
        else:
            why = "those before leave no room"
        raise InvalidRequestError(
            f"Hive {machine.hive_id!r} cannot run all its `workers`, {model!r} among them: {why}. "
            "See its memory, `threads` and `worker_threads`."
        )

    def _utilisation(self) -> dict[str, float]:
        used: dict[str, list[float]] = {}
        for machine in self.machines.values():
            devices = {worker.device.device.id: worker.device for worker in machine.workers.values()}
            shares = [one.busy_until_now() / self._over_at for one in devices.values() if self._over_at]
            used.setdefault(machine.group.name, []).extend(shares)
        return {name: sum(shares) / len(shares) for name, shares in used.items() if shares}

    # --- the requests --------------------------------------------------------------------------------------------

    def _arrive(self) -> None:
        request = next(self._requests, None)
        if request is not None:
            self.clock.at(request.at, self._came, request)

    def _came(self, request: Request) -> None:
        self._arrive()
        self.measure.came(request)
        if self._queues[request.model].depth:
            # Others were before him.
            self._wait(request)
        else:
            self._go(request)

    def _go(self, request: Request) -> None:
        decision = self._decide(request)
        if isinstance(decision, Use):
            self._send(request, decision.worker_id)
        elif isinstance(decision, Refusal):
            self.measure.refused(request, decision.code)
        elif isinstance(decision, Wait) and not decision.loading:
            self._wait(request)
        else:
            self._join(request, decision if isinstance(decision, Start) else None)

    def _decide(self, request: Request) -> Decision:
        started = time.perf_counter()
        decision = place(
            self.models.wanted(request),
            self.known.candidates(request),
            lambda: self._hives(request.model),
            self._policy,
        )
        self.deciding_s += time.perf_counter() - started
        self.measure.decisions += 1
        return decision

    def _hives(self, model: str) -> list[HiveView]:
        return [machine.view(model) for machine in self.machines.values()]

    def _send(self, request: Request, worker_id: str) -> None:
        worker = self.known.worker(request.model, worker_id)
        now = self.clock.now
        cached = worker.cached(request.traits.blocks) * BLOCK_TOKENS
        worker.keep(request.traits.blocks)
        worker.running += 1
        worker.used_at = now
        self.known.sent(worker, request)
        worker.machine.changed()
        # At least the last token is computed: it gives the first of the answer.
        worker.device.add(Stream(request, worker, max(1, request.prompt_tokens - cached), now))

    def _ended(self, stream: Stream) -> None:
        worker, request, now = stream.worker, stream.request, self.clock.now
        worker.used_at = self._over_at = now
        worker.keep(request.later)
        worker.machine.changed()
        self.known.ended(stream, now)
        self.measure.answered(request, stream.sent_at, stream.first_at, now, stream.computed)
        self._serve(request.model)
        if worker.idle:
            self._loads.idle(worker)

    # --- those that wait -----------------------------------------------------------------------------------------

    def _wait(self, request: Request) -> None:
        queue = self._queues[request.model]
        if queue.depth >= self._settings.queen.max_waiting:
            self.measure.refused(request, "QUEUE_FULL")
            return
        queue.enter(request)
        self.clock.at(self.clock.now + self._settings.queen.slot_wait_s, self._give_up, request)

    def _give_up(self, request: Request) -> None:
        if request.waiting:
            self._queues[request.model].leave(request)
            self.measure.refused(request, "ALL_SLOTS_BUSY")

    def _serve(self, model: str) -> None:
        """Call those whose turn it is, as long as there is a slot."""
        queue = self._queues[model]
        while (request := queue.head()) is not None:
            decision = self._decide(request)
            if not isinstance(decision, Use):
                return
            queue.served()
            self._send(request, decision.worker_id)

    # --- loads ---------------------------------------------------------------------------------------------------

    def _join(self, request: Request, start: Start | None) -> None:
        load = self._loads.joined(request, start)
        self.clock.at(self.clock.now + self._settings.queen.load_timeout_s, self._tire, load, request)

    def _tire(self, load: LoadUnderWay, request: Request) -> None:
        if request in load.waiters:
            load.waiters.remove(request)
            self.measure.refused(request, "REQUEST_TIMEOUT")

    def _load_over(self, load: LoadUnderWay, worker: Worker | None) -> None:
        waiters, load.waiters = load.waiters, []
        for request in waiters:
            if worker is not None:
                self._go(request)
                continue
            request.tries += 1
            if request.tries >= _TRIES:
                self.measure.refused(request, "NO_PLACEMENT")
            else:
                self.clock.at(self.clock.now + _PAUSE_S, self._go, request)
        self._serve(load.model)


def run(colony: Colony, progress: Callable[[float], None] | None = None, every: int = 2000) -> Outcome:
    """Until all is answered.

    Args:
        colony: to run.
        progress: told the simulated time now and then.
        every: events between two of these.
    """
    events = 0
    while colony.step():
        events += 1
        if progress is not None and events % every == 0:
            progress(colony.clock.now)
    return colony.outcome()
