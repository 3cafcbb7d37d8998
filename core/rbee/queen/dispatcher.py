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
from rbee.queen.demand import Demand, Tell
from rbee.queen.names import ModelNames
from rbee.queen.waiting import WaitingRoom
from rbee.scheduler import HiveView, PlaceRequest, Refusal, Start, Use, Wait, place
from rbee.settings import Settings
from rbee.telemetry import TelemetryRegistry

_CAPABILITY = MappingProxyType(
    {
        "/v1/chat/completions": Capability.CHAT,
        "/v1/completions": Capability.COMPLETIONS,
        "/v1/embeddings": Capability.EMBEDDINGS,
    }
)
_TRANSIENT_TRIES = 3
_TRANSIENT_PAUSE_S = 0.5


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
    """

    model: str
    capability: Capability | None = None
    hive_id: str | None = None
    device: str | None = None
    worker_id: str | None = None
    tell: Tell | None = None
    keep: bool = True


class WorkerLease(Lease):
    """A reserved slot."""

    def __init__(self, worker_id: str, model_id: str, url: str, target: Target, owner: QueenDispatcher) -> None:
        self.worker_id = worker_id
        self.model_id = model_id
        self.url = url
        self.target = target
        self._owner = owner

    def finish(self, outcome: Outcome) -> None:
        """Give the slot back; a worker that was not reached gets nothing more until it has spoken."""
        self._owner.finished(self, outcome)


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

    async def acquire(self, route: Route) -> WorkerLease:
        """See `Dispatcher.acquire`."""
        return await self.place(Wanted(model=route.model, capability=_CAPABILITY.get(route.path)))

    async def place(self, wanted: Wanted) -> WorkerLease:
        """A reserved slot at a worker.

        Raises:
            ModelNotFoundError: nobody knows the model.
            NoPlacementError, EngineUnavailableError: it cannot be loaded, with one reason a machine.
            QueueFullError, AllSlotsBusyError, RequestTimeoutError: waiting was in vain.
            RbeeError: loading failed.
        """
        variant = await self._names.resolve(wanted.model)
        request = PlaceRequest(
            model_id=variant.model_id,
            format=variant.format,
            size_bytes=variant.size_bytes,
            capability=wanted.capability,
            hive_id=wanted.hive_id,
            worker_id=wanted.worker_id,
            device=wanted.device,
        )
        # Whoever came earlier goes first, also when a slot has become free this instant.
        queued = self.room.depth(variant.model_id) > 0
        loop = asyncio.get_running_loop()
        slot_deadline = loop.time() + self._settings.queen.slot_wait_s
        load_deadline = loop.time() + self._settings.queen.load_timeout_s
        called, transient = False, 0
        while True:
            if queued:
                await self.room.wait(variant.model_id, slot_deadline, first=called)
                called = True
            decision = self._decide(request, variant)
            if isinstance(decision, Use):
                return self._reserve(decision.worker_id, variant.model_id, called=called)
            if isinstance(decision, Wait) and not decision.loading:
                queued = True
                continue
            if loop.time() > load_deadline:
                raise RequestTimeoutError(
                    f"Model {variant.name!r} was not loaded within {self._settings.queen.load_timeout_s:g} s."
                )
            queued = False
            if isinstance(decision, Wait):
                await self._wait_for_load(variant, wanted, load_deadline)
                continue
            if isinstance(decision, Refusal):
                raise _refusal(variant, decision)
            try:
                await self._demand.ensure(variant, decision, wanted.tell, keep=wanted.keep)
            except (NoPlacementError, NotFoundError):
                # The hive knows better than a picture that is a second old; look again with a fresh one.
                transient += 1
                if transient >= _TRANSIENT_TRIES:
                    raise
                await asyncio.sleep(_TRANSIENT_PAUSE_S)

    def finished(self, lease: WorkerLease, outcome: Outcome) -> None:
        """A leased request has ended."""
        self._telemetry.release(lease.worker_id, outcome.first_byte_s)
        if not outcome.reached:
            self._telemetry.mark_failed(lease.worker_id)
        self.room.wake(lease.model_id)

    def _decide(self, request: PlaceRequest, variant: ModelVariant) -> Use | Start | Wait | Refusal:
        def hives() -> list[HiveView]:
            return views.hives(
                self._telemetry,
                variant.model_id,
                self._clock,
                lambda hive_id: self._demand.failure(variant.model_id, hive_id),
            )

        return place(request, views.candidates(self._telemetry, variant.model_id), hives, self._policy)

    def _reserve(self, worker_id: str, model_id: str, *, called: bool) -> WorkerLease:
        url = self._telemetry.get_worker_url(worker_id) or ""
        self._telemetry.reserve(worker_id)
        if called:
            # There may be more than one free slot, and only the first in the queue was called.
            self.room.wake(model_id)
        return WorkerLease(worker_id, model_id, url, self._target(url), self)

    async def _wait_for_load(self, variant: ModelVariant, wanted: Wanted, deadline: float) -> None:
        if self._demand.loading(variant.model_id):
            await self._demand.join(variant.model_id, wanted.tell, keep=wanted.keep)
            return
        # Somebody else's worker is loading: its next beat, or the lack of one, decides.
        now = asyncio.get_running_loop().time()
        try:
            await self.room.wait(variant.model_id, min(deadline, now + 1.0))
        except RbeeError:
            return

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
