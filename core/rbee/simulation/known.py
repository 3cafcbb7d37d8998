"""What the simulated queen knows: the workers of each model as candidates, and what she remembers of her requests."""

from __future__ import annotations

from collections import OrderedDict
from itertools import count

import msgspec

from rbee.contract.policy import WorkerView
from rbee.contract.types import WorkerState
from rbee.queen.prefixes import Prefixes
from rbee.queen.rates import Rates
from rbee.scheduler import Candidate
from rbee.simulation.devices import Stream
from rbee.simulation.requests import Request
from rbee.simulation.workers import Worker

_LATENCY_WEIGHT = 0.2
"""As telemetry's."""
_SESSIONS = 10_000
"""As the queen's."""
_SHORTEST_S = 1e-6


class _Roster:
    """Workers of one model, each with its view: made anew when something of it has changed."""

    def __init__(self) -> None:
        self.workers: dict[str, Worker] = {}
        self.places: dict[str, int] = {}
        self.candidates: list[Candidate] = []
        self.stale: set[str] = set()
        self.begun: dict[int, dict[str, None]] = {}
        """Workers that had a prompt which begins with a block."""

    def renumber(self) -> None:
        self.places = {name: place for place, name in enumerate(self.workers)}


class Known:
    """The queen's memory.  Speeds and prefixes are kept by her own code."""

    def __init__(self) -> None:
        self._rosters: dict[str, _Roster] = {}
        self._rates = Rates()
        self._prefixes = Prefixes()
        self._sessions: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._numbers = count(1)

    def joined(self, worker: Worker) -> None:
        """A worker is known from now on."""
        roster = self._rosters.setdefault(worker.model, _Roster())
        roster.workers[worker.worker_id] = worker
        roster.candidates.append(self._candidate(worker))
        roster.renumber()

    def left(self, worker: Worker) -> None:
        """A worker is gone."""
        roster = self._rosters[worker.model]
        place = roster.places[worker.worker_id]
        del roster.workers[worker.worker_id]
        del roster.candidates[place]
        roster.stale.discard(worker.worker_id)
        roster.renumber()

    def changed(self, worker: Worker) -> None:
        """Something that is known of a worker is different now."""
        roster = self._rosters.get(worker.model)
        if roster is not None and worker.worker_id in roster.workers:
            roster.stale.add(worker.worker_id)

    def worker(self, model: str, worker_id: str) -> Worker:
        """A worker that is known."""
        return self._rosters[model].workers[worker_id]

    def candidates(self, request: Request) -> list[Candidate]:
        """All workers of a request's model, as known now."""
        roster = self._rosters.get(request.model)
        if roster is None:
            return []
        if roster.stale:
            for name in roster.stale:
                roster.candidates[roster.places[name]] = self._candidate(roster.workers[name])
            roster.stale.clear()
        found = roster.candidates.copy()
        blocks, session = request.traits.blocks, request.traits.session
        last = None if session is None else self._sessions.get((session, request.model))
        if blocks and (begun := roster.begun.get(blocks[0])) is not None:
            for name in begun:
                if name in roster.places and (share := self._prefixes.share(name, blocks)):
                    place = roster.places[name]
                    found[place] = _with(found[place], affinity=share, sticky=name == last)
        if last is not None and (place := roster.places.get(last, -1)) >= 0 and not found[place].view.sticky:
            found[place] = _with(found[place], affinity=found[place].view.affinity, sticky=True)
        return found

    def sent(self, worker: Worker, request: Request) -> None:
        """A request goes to a worker."""
        traits = request.traits
        worker.sent = next(self._numbers)
        if traits.blocks:
            self._prefixes.computed(worker.worker_id, traits.blocks)
            self._rosters[worker.model].begun.setdefault(traits.blocks[0], {})[worker.worker_id] = None
        if traits.session is not None:
            key = (traits.session, worker.model)
            self._sessions[key] = worker.worker_id
            self._sessions.move_to_end(key)
            if len(self._sessions) > _SESSIONS:
                self._sessions.popitem(last=False)
        self.changed(worker)

    def ended(self, stream: Stream, now: float) -> None:
        """An answer is complete: what it tells of the worker's speed."""
        worker, request = stream.worker, stream.request
        first_s = stream.first_at - stream.sent_at
        self._rates.prefilled(worker.worker_id, stream.computed, max(first_s, _SHORTEST_S))
        if request.answer_tokens > 1:
            took = max(now - stream.first_at, _SHORTEST_S)
            self._rates.decoded(worker.worker_id, request.answer_tokens - 1, took, stream.beside)
        before = first_s if worker.latency_s is None else worker.latency_s
        worker.latency_s = before + _LATENCY_WEIGHT * (first_s - before)
        self.changed(worker)

    def _candidate(self, worker: Worker) -> Candidate:
        view = WorkerView(
            worker_id=worker.worker_id,
            hive_id=worker.machine.hive_id,
            gpu_pct=worker.gpu_pct,
            vram_free_mb=worker.vram_free_mb,
            slots_total=worker.slots,
            slots_free=worker.slots - worker.running,
            queue_depth=0,
            latency_s=worker.latency_s,
            prefill_tok_s=self._rates.prefill(worker.worker_id),
            decode_tok_s=self._rates.decode(worker.worker_id, worker.running),
            sent=worker.sent,
        )
        state = worker.state
        if state is WorkerState.READY and worker.running >= worker.slots:
            state = WorkerState.BUSY
        return Candidate(
            view=view,
            state=state,
            presence="online",
            routable=state.serving,
            device=worker.device.device.id,
        )


def _with(candidate: Candidate, *, affinity: float, sticky: bool) -> Candidate:
    view = msgspec.structs.replace(candidate.view, affinity=affinity, sticky=sticky)
    return msgspec.structs.replace(candidate, view=view)
