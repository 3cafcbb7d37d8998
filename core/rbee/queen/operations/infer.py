"""The operation `infer`: text from a prompt, by way of a job."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

import msgspec

from rbee.clients import Credentials, Transport, WorkerClient
from rbee.clients.who import the_worker
from rbee.contract.errors import (
    CancelledByCallerError,
    InvalidRequestError,
    RbeeError,
    UnreachableError,
    WorkerFailedError,
)
from rbee.contract.infer_rules import validated
from rbee.contract.types import Capability
from rbee.contract.wire import InferRequest, RequestRecord
from rbee.gateway import Outcome
from rbee.http.errors import STATUS_BY_CODE
from rbee.jobs import Narrator, parse
from rbee.queen.dispatcher import QueenDispatcher
from rbee.queen.hives import Hives
from rbee.queen.leases import WorkerLease
from rbee.queen.wanted import Wanted

_ATTEMPTS = 3
_CLIENTS_KEPT = 256


class Inference:
    """Answers to prompts; each token is an event of the job.

    Args:
        dispatcher: finds or starts a worker.
        hives: knows which are online.
        credentials: shown to the others.
        observe: told each finished request.
    """

    def __init__(
        self,
        dispatcher: QueenDispatcher,
        hives: Hives,
        credentials: Credentials,
        observe: Callable[[RequestRecord], None],
    ) -> None:
        self._dispatcher = dispatcher
        self._hives = hives
        self._credentials = credentials
        self._observe = observe
        self._workers: dict[str, Transport] = {}

    async def close(self) -> None:
        """Close the connections to workers."""
        for transport in self._workers.values():
            await transport.close()
        self._workers.clear()

    async def infer(self, body: dict[str, Any], say: Narrator) -> dict[str, Any]:
        """Generate text, loading the model when needed; each token is a ``data`` event with action ``token``."""
        request = infer_request(body)
        wanted = Wanted(
            model=request.model or "",
            capability=Capability.COMPLETIONS if request.raw else Capability.CHAT,
            hive_id=self._hives.choose(request.hive_id) if request.hive_id else None,
            device=None if request.device is None else str(request.device),
            worker_id=request.worker_id,
            tell=say.relay,
            keep=False,
            trusted=True,
            request_id=say.correlation_id or say.job_id,
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
            progress.sent_to(lease)
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
                        progress.ended(event["tokens_out"], event["decode_time_ms"])
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
                lease.url, self._credentials, the_worker(lease.worker_id)
            )
        return transport


class _Progress:
    """How far an answer has come, for its retry and its record."""

    def __init__(self) -> None:
        self.tokens = 0
        self.first_token_s: float | None = None
        self._started = self._sent = time.perf_counter()
        self._lease: WorkerLease | None = None
        self._attempts = 0
        self._decode_s: float | None = None
        self._bytes = 0

    def sent_to(self, lease: WorkerLease) -> None:
        """The request is on its way to a worker."""
        self._lease = lease
        self._attempts += 1
        self._sent = time.perf_counter()

    def ended(self, tokens: int | None, decode_time_ms: int | None) -> None:
        """The answer is complete, as the worker tells it."""
        self.tokens = self.tokens if tokens is None else tokens
        self._decode_s = None if decode_time_ms is None else decode_time_ms / 1000

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
            worker_id=None if self._lease is None else self._lease.worker_id,
            status=200 if error is None else STATUS_BY_CODE[error.code],
            error_code=None if error is None else error.code,
            first_byte_s=self.first_token_s,
            duration_s=time.perf_counter() - self._started,
            bytes_out=self._bytes,
            model_id=None if self._lease is None else self._lease.model_id,
            hive_id=None if self._lease is None else self._lease.hive_id,
            stream=True,
            completion_tokens=self.tokens if self._lease else None,
            attempts=max(1, self._attempts),
            decode_s=self._decode_s,
            beside=None if self._lease is None else self._lease.beside,
        )


def infer_request(body: dict[str, Any]) -> InferRequest:
    """The request in the body of a job.

    Raises:
        InvalidRequestError: a field is unknown, missing or out of bounds; names it.
    """
    request = parse(body, InferRequest)
    if not request.model:
        raise InvalidRequestError("Operation 'infer': 'model' is missing.", param="model")
    return validated(request)
