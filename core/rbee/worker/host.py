"""The worker's service: one engine, its state, and the requests under way.  Knows no HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator

from rbee.contract.devices import set_name
from rbee.contract.engine import Engine, EngineStatus
from rbee.contract.errors import InvalidRequestError, RbeeError, WorkerFailedError, WorkerNotReadyError
from rbee.contract.infer_rules import validated
from rbee.contract.types import LoadSpec, WorkerState
from rbee.contract.version import CONTRACT_VERSION
from rbee.contract.wire import (
    ColonyAddresses,
    InferRequest,
    Registration,
    WorkerBeat,
    WorkerDrain,
    WorkerHeartbeat,
    utc_now,
)
from rbee.contract.wire.worker_api import WorkerCapabilities
from rbee.worker.face import EngineFace, InferDelta
from rbee.worker.offers import offered
from rbee.worker.underway import UnderWay

log = logging.getLogger(__name__)

_ALIVE_POLL_S = 1.0
_LOADING = frozenset({WorkerState.STARTING, WorkerState.LOADING})
_NO_MORE = InferDelta()


class WorkerHost:
    """Loads the engine, counts requests, drains.

    Args:
        worker_id: identity.
        engine: class of the engine, for its name and capabilities.
        face: the engine itself.
        spec: what to load.
        url: address under which others reach this worker.
        hive_id: the hive that started it.
    """

    def __init__(
        self,
        worker_id: str,
        engine: type[Engine],
        face: EngineFace,
        spec: LoadSpec,
        url: str,
        hive_id: str | None,
    ) -> None:
        self.worker_id = worker_id
        self.instance_id = uuid.uuid4().hex
        self.state = WorkerState.STARTING
        self.stage: str | None = "starting"
        self.error: RbeeError | None = None
        self.changed = asyncio.Event()
        self.shutdown_asked = asyncio.Event()
        self.moved: ColonyAddresses | None = None
        """Where queen and registry are, since somebody said so."""
        self.introduced: str | None = None
        """Where a queen says that she is."""
        self.face = face
        self.url = url
        self.spec = spec
        self._engine = engine
        self.capabilities = offered(engine.capabilities, spec.variant)
        self._hive_id = hive_id
        self._context_length: int | None = None
        self._seq = 0
        self._inflight: dict[str, set[UnderWay]] = {}
        self._leaving = False
        self._resting = False
        """It is to take no requests, also once it has loaded."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._rate_at: tuple[float, int] | None = None
        self._version = engine.info().version

    async def load(self, report: Callable[[str], None]) -> None:
        """Bring the engine up.

        Args:
            report: told each stage, on the event loop.

        Raises:
            RbeeError: it cannot; the state is then `FAILED` and `error` says why.
        """
        loop = asyncio.get_running_loop()

        def stage(text: str) -> None:
            self.stage = text
            report(text)

        self._become(WorkerState.LOADING)
        try:
            self._context_length = await self.face.start(lambda text: _soon(loop, stage, text))
        except Exception as error:
            if not isinstance(error, RbeeError):
                log.exception("engine %s failed to load", self._engine.name)
            self.error = (
                error
                if isinstance(error, RbeeError)
                else WorkerFailedError(f"Engine {self._engine.name!r} failed to load {self.spec.model_id!r}: {error}")
            )
            self.stage = None
            self._become(WorkerState.FAILED)
            raise self.error from error
        self.stage = None
        self.capabilities = self.face.capabilities(self.capabilities)
        self._become(WorkerState.DRAINING if self._resting else WorkerState.READY)

    def check_ready(self) -> None:
        """Pass when requests are taken.

        Raises:
            WorkerNotReadyError: still loading, or draining.
            RbeeError: loading failed.
        """
        if self.error is not None:
            raise self.error
        if self.state.serving:
            if self.face.alive():
                return
            raise WorkerFailedError(f"The engine of worker {self.worker_id!r} has died.")
        if self.state is WorkerState.DRAINING:
            raise WorkerNotReadyError(
                f"Worker {self.worker_id!r} is draining: it takes no new requests.", retry_after_s=5
            )
        doing = f"{self.state}" + (f" ({self.stage})" if self.stage else "")
        raise WorkerNotReadyError(f"Worker {self.worker_id!r} is {doing}.", retry_after_s=1)

    @contextlib.contextmanager
    def request(self, request_id: str) -> Iterator[UnderWay]:
        """A request under way.  Clients choose the ids: several requests may have the same one.

        Raises:
            WorkerNotReadyError: requests are not taken now.
        """
        self.check_ready()
        one = UnderWay()
        self._inflight.setdefault(request_id, set()).add(one)
        self._idle.clear()
        try:
            yield one
        finally:
            same = self._inflight[request_id]
            same.discard(one)
            if not same:
                del self._inflight[request_id]
            if not self._inflight:
                self._idle.set()

    async def infer(self, request: InferRequest, request_id: str) -> AsyncGenerator[InferDelta]:
        """Answer ``/v1/infer``; closing the iterator cancels.  Ended by `cancel`, it says so in its last piece.

        Raises:
            InvalidRequestError: a field is out of bounds.
        """
        checked = validated(request)
        with self.request(request_id) as one:
            async with contextlib.aclosing(self.face.infer(checked, request_id)) as deltas:
                while not one.cancelled:
                    delta: InferDelta | None = None
                    with one.interruptible():
                        delta = await anext(deltas, _NO_MORE)
                    if delta is _NO_MORE:
                        return
                    if delta is not None:
                        yield delta
                        if delta.stop_reason is not None:
                            return
        yield InferDelta(stop_reason="CANCELLED")

    def cancel(self, request_id: str) -> None:
        """End every request with that id; unknown and ended ones are ignored."""
        for one in tuple(self._inflight.get(request_id, ())):
            one.cancel()

    async def engine_died(self) -> WorkerFailedError:
        """Wait for the engine to die under a serving worker; no requests are taken from then on."""
        while not (self.state.serving or self.state is WorkerState.DRAINING) or self.face.alive():  # noqa: ASYNC110  # an engine has no event for it
            await asyncio.sleep(_ALIVE_POLL_S)
        died = WorkerFailedError(f"The engine of worker {self.worker_id!r} has died.")
        self.error = died
        self._become(WorkerState.FAILED)
        return died

    def move(self, addresses: ColonyAddresses) -> None:
        """Queen and registry are elsewhere now."""
        self.moved = addresses
        self.changed.set()

    def introduce_queen(self, url: str) -> None:
        """A queen is there; taken where none was given, once no other one answers.

        Raises:
            InvalidRequestError: that is no address.
        """
        address = Registration(url=url).address
        if address is None:
            raise InvalidRequestError(f"{url!r} is no queen's address; give it as http://HOST:PORT.", param="queen_url")
        self.introduced = address
        self.changed.set()

    def rest(self) -> WorkerDrain:
        """Take no more requests until `resume`; those under way go on.  Again, it tells how many they are.

        One that still loads goes on loading, and takes none once it has.

        Raises:
            RbeeError: it has failed, or is about to end.
        """
        if self.state in _LOADING:
            self._resting = True
        elif self.state is not WorkerState.DRAINING:
            self.check_ready()
            log.info("taking no more requests; %d are under way", self.open_requests)
            self._resting = True
            self._become(WorkerState.DRAINING)
        return self._as_drained()

    def resume(self) -> WorkerDrain:
        """Take requests again; harmless when they are taken.

        Raises:
            WorkerNotReadyError: it is about to end.
        """
        if not self._leaving:
            self._resting = False
            if self.state is WorkerState.DRAINING:
                self._become(WorkerState.READY)
        if self.state not in _LOADING:
            self.check_ready()
        return self._as_drained()

    def _as_drained(self) -> WorkerDrain:
        return WorkerDrain(worker_id=self.worker_id, state=self.state, open_requests=self.open_requests)

    @property
    def open_requests(self) -> int:
        """Requests under way."""
        return sum(map(len, self._inflight.values()))

    async def drain(self, seconds: float) -> None:
        """Take no more requests and let those under way finish, for that long at most; there is no way back."""
        self._leaving = True
        if self.state is not WorkerState.FAILED:
            self._become(WorkerState.DRAINING)
        try:
            # Not wait_for: before Python 3.12 it swallows a cancellation that comes with the event.
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            log.warning("%d requests were cut off after %g s", self.open_requests, seconds)
            for request_id in list(self._inflight):
                self.cancel(request_id)
        self._become(WorkerState.STOPPING)

    async def stop(self, seconds: float) -> None:
        """Unload the engine, for that long at most: one that hangs ends with the process."""
        try:
            async with asyncio.timeout(seconds):
                await self.face.stop()
        except TimeoutError:
            log.warning("engine %s does not stop within %g s; leaving without it", self._engine.name, seconds)
        self._become(WorkerState.STOPPED)

    async def beat(self) -> WorkerHeartbeat:
        """The worker as it is now; every call counts as one beat."""
        self._seq += 1
        status = await self.status()
        busy = status.slots_busy
        total = status.slots_total
        state = self.state
        if state.serving:
            state = WorkerState.BUSY if total is not None and busy is not None and busy >= total else WorkerState.READY
        if (state.serving or state is WorkerState.DRAINING) and not self.face.alive():
            state = WorkerState.FAILED
        return WorkerHeartbeat(
            worker=WorkerBeat(
                id=self.worker_id,
                model_id=self.spec.model_id,
                model_name=self.spec.variant.name,
                device=set_name(self.spec.device_ids),
                port=int(self.url.rpartition(":")[2]),
                status=state,
                implementation=self._engine.name,
                version=self._version,
                url=self.url,
                hive_id=self._hive_id,
                instance_id=self.instance_id,
                seq=self._seq,
                slots_total=total,
                slots_available=max(0, total - busy) if total is not None and busy is not None else None,
                queue_depth=status.queue_depth,
                tokens_per_second=self._rate(status.tokens_generated),
                context_length=self._context_length,
                capabilities=tuple(sorted(self.capabilities)),
                backend=self.spec.backend,
                pid=os.getpid(),
                stage=self.stage,
            ),
            timestamp=utc_now(),
            contract_version=CONTRACT_VERSION,
        )

    def contract(self) -> WorkerCapabilities:
        """What this worker can do, for ``GET /capabilities``."""
        return WorkerCapabilities(
            contract_version=CONTRACT_VERSION,
            implementation=self._engine.name,
            version=self._version,
            model_id=self.spec.model_id,
            capabilities=tuple(sorted(self.capabilities)),
            context_length=self._context_length,
            slots_total=self.spec.slots,
        )

    async def status(self) -> EngineStatus:
        """What the engine tells of its load, as far as it is known."""
        if not self.state.serving and self.state is not WorkerState.DRAINING:
            return EngineStatus(slots_total=self.spec.slots, slots_busy=None)
        try:
            async with asyncio.timeout(2.0):
                return await self.face.status()
        except Exception as error:
            log.warning("the engine does not tell its load: %s", error)
            return EngineStatus(slots_total=self.spec.slots)

    def _rate(self, generated: int | None) -> float | None:
        """Tokens a second since the previous beat; None until there are two."""
        if generated is None:
            return None
        now, before = time.monotonic(), self._rate_at
        self._rate_at = (now, generated)
        if before is None or now <= before[0]:
            return None
        return round(max(0, generated - before[1]) / (now - before[0]), 1)

    def _become(self, state: WorkerState) -> None:
        self.state = state
        self.changed.set()


def _soon(loop: asyncio.AbstractEventLoop, function: Callable[[str], None], text: str) -> None:
    """Call on the loop from any thread; a loop that is closed has nobody left to tell."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, text)
