"""What the simulated queen knows: the workers of each model as candidates, and what she remembers of her requests."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from rbee.contract.types import WorkerState
from rbee.contract.wire import ProcessStats, RequestRecord
from rbee.queen.history import History
from rbee.scheduler import Candidate
from rbee.simulation.devices import Stream
from rbee.simulation.requests import Request
from rbee.simulation.workers import Worker
from rbee.telemetry import WorkerEntry

_LATENCY_WEIGHT = 0.2
"""As telemetry's."""
_SESSIONS = 10_000
"""As the queen's."""
_BEGINNINGS = 100_000
"""Of prompts for one model, more than all its workers remember, mostly."""
_OK = 200


class _Roster:
    """Workers of one model, each with its view: made anew when something of it has changed."""

    def __init__(self) -> None:
        self.workers: dict[str, Worker] = {}
        self.places: dict[str, int] = {}
        self.candidates: list[Candidate] = []
        self.stale: set[str] = set()
        self.begun: OrderedDict[int, dict[str, None]] = OrderedDict()
        """Workers that had a prompt which begins with a block: others cannot have any of it."""

    def renumber(self) -> None:
        self.places = {name: place for place, name in enumerate(self.workers)}


class Known:
    """The queen's memory, kept by her own code; here is only whom to look at anew."""

    def __init__(self) -> None:
        self._rosters: dict[str, _Roster] = {}
        self._entries: dict[str, WorkerEntry] = {}
        self._history = History()
        self._sessions: OrderedDict[tuple[str, str], str] = OrderedDict()

    def joined(self, worker: Worker) -> None:
        """A worker is known from now on."""
        roster = self._rosters.setdefault(worker.model, _Roster())
        roster.workers[worker.worker_id] = worker
        device = worker.device.device
        self._entries[worker.worker_id] = WorkerEntry(
            worker_id=worker.worker_id,
            model_id=worker.model,
            implementation="simulated",
            hive_id=worker.machine.hive_id,
            device=worker.device_name,
            backend=device.backend,
            slots_total=worker.slots,
            queue_depth=0,
        )
        roster.candidates.append(self._candidate(worker))
        roster.renumber()

    def left(self, worker: Worker) -> None:
        """A worker is gone."""
        roster = self._rosters[worker.model]
        place = roster.places[worker.worker_id]
        del roster.workers[worker.worker_id]
        del roster.candidates[place]
        del self._entries[worker.worker_id]
        roster.stale.discard(worker.worker_id)
        roster.renumber()
        self._history.forget(self._entries.__contains__)

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
        traits = request.traits
        special = dict(roster.begun.get(traits.blocks[0], ())) if traits.blocks else {}
        last = None if traits.session is None else self._sessions.get((traits.session, request.model))
        if last is not None:
            special[last] = None
        for name in special:
            place = roster.places.get(name)
            if place is not None:
                view = self._history.view(self._entries[name], traits)
                found[place] = msgspec.structs.replace(found[place], view=view)
        return found

    def sent(self, worker: Worker, request: Request) -> None:
        """A request goes to a worker."""
        traits = request.traits
        self._history.sent(self._entries[worker.worker_id], traits)
        if traits.blocks:
            begun = self._rosters[worker.model].begun
            begun.setdefault(traits.blocks[0], {})[worker.worker_id] = None
            begun.move_to_end(traits.blocks[0])
            if len(begun) > _BEGINNINGS:
                begun.popitem(last=False)
        if traits.session is not None:
            key = (traits.session, worker.model)
            self._sessions[key] = worker.worker_id
            self._sessions.move_to_end(key)
            if len(self._sessions) > _SESSIONS:
                self._sessions.popitem(last=False)
        self.changed(worker)

    def ended(self, stream: Stream, now: float) -> None:
        """An answer is complete: what it tells of the worker's speed, by the worker's own times."""
        worker, request = stream.worker, stream.request
        entry = self._entries[worker.worker_id]
        first_s = stream.first_at - stream.sent_at
        before = first_s if entry.latency_s is None else entry.latency_s
        entry.latency_s = before + _LATENCY_WEIGHT * (first_s - before)
        entry.reserved = worker.running
        self._history.finished(
            entry,
            RequestRecord(
                request_id="",
                path="",
                model=request.model,
                worker_id=worker.worker_id,
                status=_OK,
                error_code=None,
                first_byte_s=first_s,
                duration_s=now - request.at,
                bytes_out=0,
                prompt_tokens=request.prompt_tokens,
                completion_tokens=request.answer_tokens,
                cached_tokens=request.prompt_tokens - stream.computed,
                prompt_s=first_s,
                decode_s=now - stream.first_at,
                beside=stream.beside,
            ),
        )
        self.changed(worker)

    def _candidate(self, worker: Worker) -> Candidate:
        entry = self._entries[worker.worker_id]
        state = worker.state
        if state is WorkerState.READY and worker.running >= worker.slots:
            state = WorkerState.BUSY
        entry.state, entry.reserved = state, worker.running
        if worker.gpu_pct is not None:
            entry.sample = ProcessStats(pid=None, gpu_util_pct=worker.gpu_pct)
            entry.vram_free_mb = worker.vram_free_mb
        return Candidate(
            view=self._history.view(entry),
            state=state,
            presence="online",
            routable=state.serving,
            device=entry.device,
        )
