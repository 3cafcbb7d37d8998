"""The thread that owns a token engine."""

from __future__ import annotations

import asyncio
import logging
import threading
from enum import Enum, auto

import msgspec

from rbee.builtin.one_thread import OneThread
from rbee.contract.engine import EngineStatus, StageReport
from rbee.contract.errors import (
    CancelledByCallerError,
    RbeeError,
    UnavailableError,
    WorkerFailedError,
    WorkerNotReadyError,
)
from rbee.contract.token_engine import LoadedModel, TokenEngine
from rbee.contract.types import LoadSpec
from rbee.worker.tokens.lanes import Job, Lanes, Settled
from rbee.worker.tokens.mailbox import Mailbox

log = logging.getLogger(__name__)


class _Phase(Enum):
    NEW = auto()
    LOADED = auto()
    STOPPED = auto()
    DIED = auto()


class _Loaded(msgspec.Struct, frozen=True):
    """How loading ended; an error travels as a value, since not every exception may go through a future."""

    model: LoadedModel | None = None
    error: Exception | None = None


class Scheduler:
    """Runs an engine in one thread of its own and shares its slots among requests.

    `start`, `stop`, `submit` and `cancel` are called on one event loop, on which all results arrive as well.
    A scheduler is started once.  Its thread sleeps while there is nothing to do.

    Args:
        engine: not loaded yet; nobody else may call it.
        spec: what to load; `slots` requests run at the same time.
        max_waiting: requests that may wait for a slot.
    """

    def __init__(self, engine: TokenEngine, spec: LoadSpec, *, max_waiting: int = 64) -> None:
        self._engine = engine
        self._spec = spec
        self._changed = threading.Condition()
        self._lanes = Lanes(spec.slots, max_waiting)
        self._phase = _Phase.NEW
        self._stopping = False
        self._tokens = 0
        self._prompt_tokens = 0
        self._cached: int | None = None
        self._thread: threading.Thread | None = None

    async def start(self, report: StageReport) -> LoadedModel:
        """Load the engine; returns what it has loaded.

        Raises:
            Exception: what the engine's `load` raised.
            CancelledByCallerError: stopped while it loaded.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Loaded] = loop.create_future()

        def resolve(outcomes: list[_Loaded]) -> None:
            if not future.done():  # the caller may have given up meanwhile
                future.set_result(outcomes[0])

        # A daemon: an engine that hangs in native code must not keep a process alive that was told to go.
        self._thread = threading.Thread(
            target=self._run,
            args=(Mailbox[_Loaded](loop, resolve), Mailbox[Settled](loop, self._deliver), report),
            name="rbee-engine",
            daemon=True,
        )
        self._thread.start()
        outcome = await future
        if outcome.model is None:
            raise outcome.error or WorkerFailedError("The engine gave up while loading.")
        return outcome.model

    async def stop(self) -> None:
        """End all requests, unload, and wait for the thread; harmless before `start` and when repeated."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            # Not a pool's thread: who gives up on an engine that hangs must be able to leave.
            waiting = OneThread("rbee-engine-end")
            try:
                await waiting.call(self._thread.join)
            finally:
                waiting.close()

    def submit(self, job: Job) -> None:
        """Queue a request; its results go to its outlet, on the event loop.

        Raises:
            WorkerNotReadyError: not loaded, or stopping.
            WorkerFailedError: the engine has died.
            QueueFullError, ConflictError: as in `Lanes.enter`.
        """
        with self._changed:
            if self._phase is _Phase.DIED:
                raise WorkerFailedError("The engine of this worker has died; start the worker again.")
            if self._phase is not _Phase.LOADED or self._stopping:
                raise WorkerNotReadyError(f"{self._spec.model_id!r} is not loaded here; try again later.")
            self._lanes.enter(job)
            self._changed.notify_all()

    def cancel(self, job: Job) -> None:
        """Drop a request before the next step; harmless when it has ended.  Its outlet is not told."""
        with self._changed:
            self._lanes.leave(job)
            self._changed.notify_all()

    def alive(self) -> bool:
        """False once the loaded engine has failed."""
        return self._phase is not _Phase.DIED

    def status(self) -> EngineStatus:
        """Load figures."""
        with self._changed:
            return EngineStatus(
                slots_total=self._lanes.slots,
                slots_busy=self._lanes.active,
                queue_depth=self._lanes.waiting,
                tokens_generated=self._tokens,
                prompt_tokens=self._prompt_tokens,
                cached_tokens=self._cached,
            )

    def _deliver(self, posts: list[Settled]) -> None:
        """Hand results out; on the event loop."""
        for one in posts:
            try:
                self._hand_out(one)
            except Exception:  # what one answer trips over must not keep the others from theirs
                log.exception("an answer of %r could not be read", self._spec.model_id)
                self.cancel(one.job)
                one.job.outlet.fail(WorkerFailedError("The answer could not be read; the worker's log says why."))

    def _hand_out(self, one: Settled) -> None:
        job, event, finish, error = one
        if error is not None:
            job.outlet.fail(error)
        elif event is not None and job.outlet.feed(event, finish):
            self.cancel(job)

    def _run(self, loaded: Mailbox[_Loaded], results: Mailbox[Settled], report: StageReport) -> None:
        """The whole life of the engine; in its thread."""
        end: RbeeError = UnavailableError("The worker is stopping; send the request again.")
        try:
            if self._load(loaded, report):
                self._serve(results)
        except BaseException:  # whatever a library throws must end the requests, not vanish with the thread
            log.exception("the engine of %r failed", self._spec.model_id)
            end = WorkerFailedError(f"The engine failed while serving {self._spec.model_id!r}; see its log.")
        with self._changed:
            self._phase = _Phase.DIED if isinstance(end, WorkerFailedError) else _Phase.STOPPED
            jobs = self._lanes.clear()
        results.post([Settled(job, error=end) for job in jobs])
        try:
            self._engine.unload()
        except BaseException:
            log.exception("the engine of %r could not be unloaded", self._spec.model_id)

    def _load(self, loaded: Mailbox[_Loaded], report: StageReport) -> bool:
        try:
            model = self._engine.load(self._spec, report)
            if not isinstance(model, LoadedModel):
                raise TypeError(f"load() must return a LoadedModel, not {type(model).__name__}")
        except Exception as error:
            loaded.post([_Loaded(error=error)])
            return False
        except BaseException as error:
            log.exception("the engine could not load %r", self._spec.model_id)
            loaded.post([_Loaded(error=WorkerFailedError(f"The engine gave up while loading: {error!r}."))])
            return False
        with self._changed:
            if self._stopping:
                loaded.post([_Loaded(error=CancelledByCallerError("The worker was stopped while loading."))])
                return False
            self._phase = _Phase.LOADED
            if model.slots is not None:
                self._lanes.narrow(model.slots)
        loaded.post([_Loaded(model)])
        return True

    def _serve(self, results: Mailbox[Settled]) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._lanes.work)
                if self._stopping:
                    return
                leaving, entering = self._lanes.turn()
            for request_id in leaving:
                self._engine.remove(request_id)
            for job in entering:
                self._take_up(job, results)
            if self._lanes.active:
                events = self._engine.step()
                with self._changed:
                    settled = self._lanes.settle(events)
                    self._count(settled)
                results.post(settled)

    def _count(self, settled: list[Settled]) -> None:
        for one in settled:
            if one.event is not None:
                self._tokens += one.event.token is not None
                if one.event.cached is not None:
                    self._cached = (self._cached or 0) + one.event.cached

    def _take_up(self, job: Job, results: Mailbox[Settled]) -> None:
        """Give a request to the engine; one that it refuses ends alone, whatever the engine raised."""
        request_id = job.request.request_id
        try:
            self._engine.add(job.request)
        except Exception as error:
            if not isinstance(error, RbeeError):
                log.exception("the engine could not take up request %r", request_id)
                error = WorkerFailedError("The engine could not take up this request; its log says why.")
                self._engine.remove(request_id)
            with self._changed:
                self._lanes.refuse(job)
            results.post([Settled(job, error=error)])
            return
        with self._changed:
            self._prompt_tokens += len(job.request.prompt)
