"""What the queen can be asked to do: the handlers of her jobs."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import msgspec

from rbee.clients import Transport, WorkerClient
from rbee.contract.errors import InvalidRequestError, NotFoundError, UnreachableError, WorkerFailedError
from rbee.contract.infer_rules import validated
from rbee.contract.types import Capability
from rbee.contract.wire import InferRequest
from rbee.gateway import Outcome
from rbee.jobs import JobHandler, Narrator
from rbee.queen.dispatcher import QueenDispatcher, Wanted, WorkerLease
from rbee.queen.hives import Hives
from rbee.telemetry import TelemetryRegistry

_ATTEMPTS = 3
_CLIENTS_KEPT = 256


class Operations:
    """Handlers by name."""

    def __init__(
        self, telemetry: TelemetryRegistry, dispatcher: QueenDispatcher, hives: Hives, token: str | None
    ) -> None:
        self._telemetry = telemetry
        self._dispatcher = dispatcher
        self._hives = hives
        self._token = token
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
            capability=Capability.CHAT,
            hive_id=request.hive_id,
            device=None if request.device is None else str(request.device),
            worker_id=request.worker_id,
            tell=say.relay,
            keep=False,
        )
        for attempt in range(1, _ATTEMPTS + 1):
            lease = await self._dispatcher.place(wanted)
            say.say("queen", "infer", f"{lease.worker_id} answers", lease.worker_id)
            progress = _Progress()
            try:
                return await self._generate(lease, request, say, progress)
            except UnreachableError as error:
                if progress.tokens or attempt == _ATTEMPTS:
                    raise WorkerFailedError(
                        f"Worker {lease.worker_id!r} failed while it answered: {error.message}"
                    ) from error
                say.say("queen", "retry", f"{lease.worker_id} is gone; trying another", lease.worker_id)
        raise AssertionError("the last attempt returns or raises")

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
                        progress.tokens += 1
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
            lease.finish(Outcome(reached=reached))
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
    """How far an answer has come."""

    def __init__(self) -> None:
        self.tokens = 0


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
