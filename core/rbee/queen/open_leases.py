"""Open leases: slots that requests hold at workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from rbee.clients import Credentials
from rbee.contract.errors import NoPlacementError
from rbee.gateway import Outcome, Traits
from rbee.queen.breakers import Breakers
from rbee.queen.history import History
from rbee.queen.leases import WorkerLease
from rbee.queen.names import Resolved
from rbee.queen.targets import Targets
from rbee.queen.tunnels import Roads
from rbee.queen.waiting import WaitingRoom
from rbee.telemetry import Presence, TelemetryRegistry, WorkerEntry

_SERVER_ERRORS = 500


class OpenLeases:
    """Owner of the leases.

    Args:
        telemetry: the colony, which counts reserved slots.
        history: told where a request goes.
        breakers: told where one goes and how it ended.
        room: woken when a slot is free again.
        policy: name of what chooses workers.
        credentials: shown to workers.
        roads: lead to them.

    Attributes:
        on_ended: told each request's end: the worker, and how long its model is to stay, as the request said.
    """

    def __init__(
        self,
        telemetry: TelemetryRegistry,
        history: History,
        breakers: Breakers,
        room: WaitingRoom,
        policy: str,
        credentials: Credentials,
        roads: Roads,
    ) -> None:
        self._roads = roads
        self._telemetry = telemetry
        self._history = history
        self._breakers = breakers
        self._room = room
        self._policy = policy
        self._targets = Targets(credentials)
        self._open: set[WorkerLease] = set()
        self.on_ended: Callable[[str, float | None], None] = _nobody

    def running(self) -> dict[str, int]:
        """Requests that are with a worker, by the canonical name of its model."""
        return Counter(lease.model_id for lease in self._open)

    def reserve(self, worker_id: str, found: Resolved, traits: Traits) -> WorkerLease:
        """A slot at the worker that was decided upon.

        Raises:
            NoPlacementError: it has gone.
        """
        entry = self._telemetry.get_worker(worker_id)
        if entry is None:
            raise NoPlacementError(f"Worker {worker_id!r} has gone this instant; try again.")
        among = sum(len(self._telemetry.find_workers_by_model(model_id)) for model_id in found.model_ids)
        return self.lease(entry, found, among, traits)

    def lease(self, entry: WorkerEntry, found: Resolved, among: int, traits: Traits) -> WorkerLease:
        """A slot at a worker.

        Args:
            entry: the worker.
            found: what the request's name means.
            among: how many workers could have taken it.
            traits: of the request.
        """
        self._telemetry.reserve(entry.worker_id)
        self._history.sent(entry, traits)
        self._breakers.sent(entry.worker_id)
        model_id = entry.model_id or found.model_ids[0]
        url = self._roads.now(entry.hive_id, entry.url or "")
        lease = WorkerLease(
            entry,
            model_id,
            traits.keep_alive_s,
            url,
            self._targets.at(url, entry.worker_id),
            self._finished,
            among,
            self._policy,
        )
        self._open.add(lease)
        return lease

    def _finished(self, lease: WorkerLease, outcome: Outcome) -> None:
        """A leased request has ended."""
        self._open.discard(lease)
        self._telemetry.release(lease.worker_id, outcome.first_byte_s)
        if lease.keep_alive_s is not None:
            self.on_ended(lease.worker_id, lease.keep_alive_s)
        if not outcome.reached:
            self._telemetry.mark_failed(lease.worker_id)
        if not outcome.reached or (outcome.status or 0) >= _SERVER_ERRORS:
            self._breakers.failed(lease.worker_id)
        elif outcome.status is not None:
            self._breakers.succeeded(lease.worker_id)
        else:
            self._breakers.undecided(lease.worker_id)
        self._room.wake(lease.model_id)

    def abandon_lost(self) -> None:
        """Tell requests whose workers are dead or hang: a machine that is gone closes no connection."""
        for lease in list(self._open):
            entry = self._telemetry.get_worker(lease.worker_id)
            silent = entry is None or self._telemetry.presence(entry) in {Presence.HUNG, Presence.OFFLINE}
            if silent and lease.lost is not None:
                lost, lease.lost = lease.lost, None
                lost()


def _nobody(_worker_id: str, _keep_alive_s: float | None) -> None:
    return
