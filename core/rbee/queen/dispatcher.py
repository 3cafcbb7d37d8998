"""From a request to a reserved place at a worker, loading the model when that is needed."""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import Callable
from types import MappingProxyType

import msgspec

from rbee.contract.errors import (
    EngineUnavailableError,
    InvalidRequestError,
    ModelNotFoundError,
    NoPlacementError,
    NotFoundError,
    RbeeError,
    RequestTimeoutError,
)
from rbee.contract.policy import Policy
from rbee.contract.types import Capability, ModelVariant
from rbee.gateway import Dispatcher, Lease, Outcome, Route, Target
from rbee.plugins import install_hint
from rbee.queen import views
from rbee.queen.changes import Changes
from rbee.queen.demand import Demand, Tell
from rbee.queen.names import ModelNames
from rbee.queen.waiting import WaitingRoom
from rbee.scheduler import HiveView, PlaceRequest, Refusal, Start, Use, Wait, place
from rbee.settings import Settings
from rbee.telemetry import Presence, TelemetryRegistry

_CAPABILITY = MappingProxyType(
    {
        "/v1/chat/completions": Capability.CHAT,
        "/v1/completions": Capability.COMPLETIONS,
        "/v1/embeddings": Capability.EMBEDDINGS,
    }
)
_TRANSIENT_TRIES = 3
_TRANSIENT_PAUSE_S = 0.5
_LOOK_AGAIN_S = 1.0


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the dispatcher takes it.

    Attributes:
        model: as the caller named it.
        capability: what is needed of the worker.
        hive_id: only there, when given.
        device: only on that device, when given.
        worker_id: only that worker, when given.
        tell: given the events of a load.
        keep: see `Demand.ensure`.
        trusted: the caller has the colony's token.
    """

    model: str
    capability: Capability | None = None
    hive_id: str | None = None
    device: str | None = None
    worker_id: str | None = None
    tell: Tell | None = None
    keep: bool = True
    trusted: bool = False


class WorkerLease(Lease):
    """A reserved slot."""

    def __init__(self, worker_id: str, model_id: str, url: str, target: Target, owner: QueenDispatcher) -> None:
        self.worker_id = worker_id
        self.model_id = model_id
        self.url = url
        self.target = target
        self._owner = owner
        self.lost: Callable[[], None] | None = None

    def watch(self, lost: Callable[[], None]) -> None:
        """See `Lease.watch`."""
        self.lost = lost

    def finish(self, outcome: Outcome) -> None:
        """Give the slot back; a worker that was not reached gets nothing more until it has spoken."""
        self._owner.finished(self, outcome)


class _Turn:
    """One request's place among those that wait for a slot of a model.

    Whoever came earlier goes first, also when a slot becomes free this instant; and whoever was called and does not
    take a slot, for whatever reason, calls the next.
    """

    def __init__(self, room: WaitingRoom, model_id: str, patience_s: float) -> None:
        self._room = room
        self._model_id = model_id
        self._patience_s = patience_s
        self._deadline: float | None = None
        self._called = False

    def mine(self) -> bool:
        """Whether a free slot may be taken now."""
        return self._called or self._room.depth(self._model_id) == 0

    async def wait(self) -> None:
        """Wait to be called; raises as `WaitingRoom.wait`."""
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._patience_s
        first, self._called = self._called, False
        await self._room.wait(self._model_id, self._deadline, first=first)
        self._called = True

    def pass_on(self) -> None:
        """Call the next, if this one was called."""
        if self._called:
            self._room.wake(self._model_id)


class QueenDispatcher(Dispatcher):
    """Places requests by telemetry, policy and demand.

    Args:
        telemetry: the colony.
        names: from names to models.
        demand: carries out starts.
        policy: orders workers.
        settings: waits.
        token: the colony's, sent to workers.
        clock: the telemetry's.
    """

    def __init__(
        self,
        telemetry: TelemetryRegistry,
        names: ModelNames,
        demand: Demand,
        policy: Policy,
        settings: Settings,
        token: str | None,
        clock: Callable[[], float],
    ) -> None:
        self._telemetry = telemetry
        self._names = names
        self._demand = demand
        self._policy = policy
        self._settings = settings
        self._clock = clock
        self._headers = ((b"authorization", f"Bearer {token}".encode()),) if token else ()
        self._targets: dict[str, Target] = {}
        self.room = WaitingRoom(settings.queen.max_waiting)
        self.changes = Changes()
        self._leases: set[WorkerLease] = set()

    async def acquire(self, route: Route) -> WorkerLease:
        """See `Dispatcher.acquire`."""
        return await self.place(
            Wanted(model=route.model, capability=_CAPABILITY.get(route.path), trusted=route.trusted)
        )

    async def place(self, wanted: Wanted) -> WorkerLease:
        """A reserved slot at a worker.

        Raises:
            ModelNotFoundError: nobody knows the model.
            NoPlacementError, EngineUnavailableError: it cannot be loaded, with one reason a machine.
            QueueFullError, AllSlotsBusyError, RequestTimeoutError: waiting was in vain.
            RbeeError: loading failed.
        """
        variant = await self._names.resolve(wanted.model, files=wanted.trusted)
        request = PlaceRequest(
            model_id=variant.model_id,
            format=variant.format,
            size_bytes=variant.size_bytes,
            capability=wanted.capability,
            hive_id=wanted.hive_id,
            worker_id=wanted.worker_id,
            device=wanted.device,
        )
        loop = asyncio.get_running_loop()
        load_deadline = loop.time() + self._settings.queen.load_timeout_s
        turn = _Turn(self.room, variant.model_id, self._settings.queen.slot_wait_s)
        transient = 0
        try:
            while True:
                decision = self._decide(request, variant)
                if isinstance(decision, Use) and turn.mine():
                    return self._reserve(decision.worker_id, variant.model_id)
                if isinstance(decision, Use) or (isinstance(decision, Wait) and not decision.loading):
                    await turn.wait()
                    continue
                if isinstance(decision, Refusal):
                    raise _refusal(variant, decision)
                try:
                    async with asyncio.timeout_at(load_deadline):
                        await self._load(variant, wanted, decision)
                except TimeoutError as error:
                    raise RequestTimeoutError(
                        f"Model {variant.name!r} was not loaded within {self._settings.queen.load_timeout_s:g} s."
                    ) from error
                except (NoPlacementError, NotFoundError) as error:
                    # The hive knows better than a picture that is a second old; look again with a fresh one.
                    transient += 1
                    if transient >= _TRANSIENT_TRIES or isinstance(error, ModelNotFoundError):
                        raise
                    await asyncio.sleep(_TRANSIENT_PAUSE_S)
        finally:
            # Also with a slot in hand: more than one may be free, and only the first in the queue was called.
            turn.pass_on()

    def finished(self, lease: WorkerLease, outcome: Outcome) -> None:
        """A leased request has ended."""
        self._leases.discard(lease)
        self._telemetry.release(lease.worker_id, outcome.first_byte_s)
        if not outcome.reached:
            self._telemetry.mark_failed(lease.worker_id)
        self.room.wake(lease.model_id)

    def abandon_lost(self) -> None:
        """Tell requests whose workers are dead or hang: a machine that is gone closes no connection."""
        for lease in list(self._leases):
            entry = self._telemetry.get_worker(lease.worker_id)
            silent = entry is None or self._telemetry.presence(entry) in {Presence.HUNG, Presence.OFFLINE}
            if silent and lease.lost is not None:
                lost, lease.lost = lease.lost, None
                lost()

    def _decide(self, request: PlaceRequest, variant: ModelVariant) -> Use | Start | Wait | Refusal:
        def hives() -> list[HiveView]:
            return views.hives(
                self._telemetry,
                variant.model_id,
                self._clock,
                lambda hive_id: self._demand.failure(variant.model_id, hive_id),
            )

        return place(request, views.candidates(self._telemetry, variant.model_id), hives, self._policy)

    def _reserve(self, worker_id: str, model_id: str) -> WorkerLease:
        url = self._telemetry.get_worker_url(worker_id) or ""
        self._telemetry.reserve(worker_id)
        lease = WorkerLease(worker_id, model_id, url, self._target(url), self)
        self._leases.add(lease)
        return lease

    async def _load(self, variant: ModelVariant, wanted: Wanted, decision: Start | Wait) -> None:
        """Start a worker, join a load that is under way, or wait for news of somebody else's."""
        if isinstance(decision, Start):
            await self._demand.ensure(variant, decision, wanted.hive_id, wanted.tell, keep=wanted.keep)
        elif not await self._demand.join(variant.model_id, wanted.hive_id, wanted.tell, keep=wanted.keep):
            await self.changes.wait(variant.model_id, _LOOK_AGAIN_S)

    def _target(self, url: str) -> Target:
        target = self._targets.get(url)
        if target is None:
            parts = urllib.parse.urlsplit(url)
            target = Target(host=parts.hostname or "", port=parts.port or 80, headers=self._headers)
            if len(self._targets) > 10_000:
                self._targets.clear()
            self._targets[url] = target
        return target


def _refusal(variant: ModelVariant, refusal: Refusal) -> RbeeError:
    reasons = [{"subject": reason.subject, "reason": reason.text} for reason in refusal.reasons]
    told = "; ".join(f"{reason.subject}: {reason.text}" for reason in refusal.reasons) or "no machine is known"
    message = f"Model {variant.name!r} cannot be placed. {told}."
    if refusal.code == "INVALID_REQUEST":
        return InvalidRequestError(message, param="model", details={"reasons": reasons})
    if refusal.code == "ENGINE_UNAVAILABLE":
        hint = install_hint(variant.format)
        if hint and "pip install" not in told:
            message += f" Install an engine: {hint}"
        return EngineUnavailableError(message, details={"reasons": reasons})
    return NoPlacementError(message, details={"reasons": reasons})
