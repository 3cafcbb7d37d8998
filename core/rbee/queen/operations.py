"""What the queen can be asked to do: the handlers of her jobs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from rbee.clients import Transport, WorkerClient
from rbee.contract.errors import (
    CancelledByCallerError,
    InvalidRequestError,
    NotFoundError,
    RbeeError,
    UnreachableError,
    WorkerFailedError,
)
from rbee.contract.infer_rules import validated
from rbee.contract.types import Capability
from rbee.contract.wire import InferRequest, RequestRecord
from rbee.gateway import Outcome
from rbee.http.errors import STATUS_BY_CODE
from rbee.jobs import JobHandler, Narrator
from rbee.queen.dispatcher import QueenDispatcher, Wanted, WorkerLease
from rbee.queen.hives import Hives
from rbee.telemetry import TelemetryRegistry

_ATTEMPTS = 3
_CLIENTS_KEPT = 256


class Operations:
    """Handlers by name."""

    def __init__(
        self,
        telemetry: TelemetryRegistry,
        dispatcher: QueenDispatcher,
        hives: Hives,
        token: str | None,
        observe: Callable[[RequestRecord], None],
    ) -> None:
        self._telemetry = telemetry
        self._dispatcher = dispatcher
        self._hives = hives
        self._token = token
        self._observe = observe
        self._workers: dict[str, Transport] = {}

    async def close(self) -> None:
        """Close the connections to workers."""
        for transport in self._workers.values():
            await transport.close()
        self._workers.clear()

    def handlers(self) -> Mapping[str, JobHandler]:
        """Every operation of the queen, those that hives carry out among them."""
        return {
            "infer": self.infer,
            "status": self.status,
            "model_download": self.on_hive,
            "worker_spawn": self.on_hive,
            "worker_process_delete": self.delete_worker,
        }

    async def status(self, _body: dict[str, Any], _say: Narrator) -> dict[str, Any]:
        """Hives and workers as they are known."""
        return {
            "hives": sorted(record.hive_id for record in self._telemetry.list_active_hives()),
            "workers": [self._telemetry.describe(entry) for entry in self._telemetry.list_all_workers()],
        }

    async def on_hive(self, body: dict[str, Any], say: Narrator) -> dict[str, Any]:
        """An operation of a hive, forwarded by ``hive_id``."""
        operation = body["operation"]
        fields = {key: value for key, value in body.items() if key not in {"operation", "hive_id"}}
        hive_id = self._hives.choose(_text(body, "hive_id"))
        return await self._hives.run(hive_id, operation, fields, say.relay)

    async def delete_worker(self, body: dict[str, Any], say: Narrator) -> dict[str, Any]:
        """Stop a worker on whichever hive has it."""
        worker_id = _text(body, "worker_id") or _text(body, "id")
        if worker_id is None:
            raise InvalidRequestError("'worker_id' is missing.", param="worker_id")
        entry = self._telemetry.get_worker(worker_id)
        hive_id = _text(body, "hive_id") or (entry.hive_id if entry else None)
        if entry is None and hive_id is None:
            raise NotFoundError(f"Worker {worker_id!r} is not known; `rbee ps` lists workers.")
        result = await self.on_hive({**body, "hive_id": hive_id}, say)
        self._telemetry.remove_worker(worker_id)
        return result

    async def infer(self, body: dict[str, Any], say: Narrator) -> dict[str, Any]:
        """Generate text, loading the model when needed; each token is a ``data`` event with action ``token``."""
        request = _infer_request(body)
        wanted = Wanted(
            model=request.model or "",
            capability=Capability.COMPLETIONS if request.raw else Capability.CHAT,
            hive_id=self._hives.choose(request.hive_id) if request.hive_id else None,
            device=None if request.device is None else str(request.device),
            worker_id=request.worker_id,
            tell=say.relay,
            keep=False,
            trusted=True,
        )
        progress = _Progress()
        error: RbeeError | None = None
        try:
            return await self._answer(wanted, request, say, progress)
        except RbeeError as raised:
            error = raised
            raise
        except asyncio.CancelledError:
            error = CancelledByCallerError("Cancelled.")
            raise
        finally:
            self._observe(progress.record(say, request, error))

    async def _answer(
        self, wanted: Wanted, request: InferRequest, say: Narrator, progress: _Progress
    ) -> dict[str, Any]:
        """Place and generate; a worker that is gone before its first token is replaced unnoticed."""
        for attempt in range(1, _ATTEMPTS + 1):
            lease = await self._dispatcher.place(wanted)
            progress.sent_to(lease.worker_id)
            say.say("queen", "infer", f"{lease.worker_id} answers", lease.worker_id)
            try:
                return await self._generate_while_alive(lease, request, say, progress)
            except UnreachableError as error:
                if progress.tokens or attempt == _ATTEMPTS:
                    raise WorkerFailedError(
                        f"Worker {lease.worker_id!r} died or hung while it answered. "
                        "Ask again: another takes its place."
                    ) from error
                say.say("queen", "retry", f"{lease.worker_id} is gone; trying another", lease.worker_id)
        raise AssertionError("the last attempt returns or raises")

    async def _generate_while_alive(
        self, lease: WorkerLease, request: InferRequest, say: Narrator, progress: _Progress
    ) -> dict[str, Any]:
        """Generate, and give up when the worker turns out dead or hung.

        Raises:
            UnreachableError: it did.
        """
        work = asyncio.ensure_future(self._generate(lease, request, say, progress))
        lost = asyncio.get_running_loop().create_future()
        lease.watch(lambda: None if lost.done() else lost.set_result(None))
        try:
            await asyncio.wait([work, lost], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
        if work.cancelled():
            raise UnreachableError(f"Worker {lease.worker_id!r} is dead or hangs.")
        return work.result()

    async def _generate(
        self, lease: WorkerLease, request: InferRequest, say: Narrator, progress: _Progress
    ) -> dict[str, Any]:
        transport = self._worker(lease)
        reached = True
        sent = msgspec.structs.replace(request, stream=True, worker_id=None, hive_id=None, device=None)
        try:
            async with contextlib.aclosing(WorkerClient(transport).infer(sent)) as events:
                async for event in events:
                    if event["type"] == "token":
                        progress.token(event["t"])
                        say.data("token", {"t": event["t"], "i": event["i"]})
                    elif event["type"] == "end":
                        return {
                            "tokens_out": event["tokens_out"],
                            "decode_time_ms": event["decode_time_ms"],
                            "stop_reason": event["stop_reason"],
                            "worker_id": lease.worker_id,
                        }
        except UnreachableError:
            reached = False
            raise
        finally:
            lease.finish(Outcome(reached=reached, first_byte_s=progress.first_token_s))
        raise WorkerFailedError(f"Worker {lease.worker_id!r} ended its answer without saying how.")

    def _worker(self, lease: WorkerLease) -> Transport:
        """A client of the worker, kept: making one costs more than a short answer."""
        transport = self._workers.get(lease.worker_id)
        if transport is None or transport.url != lease.url:
            if len(self._workers) >= _CLIENTS_KEPT:
                # The oldest may be in use; the garbage collector closes it when that answer has ended.
                self._workers.pop(next(iter(self._workers)))
            transport = self._workers[lease.worker_id] = Transport(
                lease.url, self._token, f"Worker {lease.worker_id!r}"
            )
        return transport


class _Progress:
    """How far an answer has come, for its retry and its record."""

    def __init__(self) -> None:
        self.tokens = 0
        self.first_token_s: float | None = None
        self._started = self._sent = time.perf_counter()
        self._worker_id: str | None = None
        self._bytes = 0

    def sent_to(self, worker_id: str) -> None:
        """The request is on its way to a worker."""
        self._worker_id = worker_id
        self._sent = time.perf_counter()

    def token(self, text: str) -> None:
        """A token has come."""
        if not self.tokens:
            self.first_token_s = time.perf_counter() - self._sent
        self.tokens += 1
        self._bytes += len(text.encode())

    def record(self, say: Narrator, request: InferRequest, error: RbeeError | None) -> RequestRecord:
        """The request as observers see it."""
        return RequestRecord(
            request_id=say.correlation_id or say.job_id,
            path="/v1/jobs",
            model=request.model,
            worker_id=self._worker_id,
            status=200 if error is None else STATUS_BY_CODE[error.code],
            error_code=None if error is None else error.code,
            first_byte_s=self.first_token_s,
            duration_s=time.perf_counter() - self._started,
            bytes_out=self._bytes,
        )


def _infer_request(body: dict[str, Any]) -> InferRequest:
    fields = {key: value for key, value in body.items() if key != "operation"}
    try:
        request = msgspec.convert(fields, InferRequest)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"Operation 'infer': {error}.") from error
    if not request.model:
        raise InvalidRequestError("Operation 'infer' lacks 'model'.", param="model")
    return validated(request)


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidRequestError(f"{name!r} must be a text.", param=name)
    return value or None
