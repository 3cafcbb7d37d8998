"""Requests to an engine's own server: relayed as bytes, or asked one by one, over lines that are kept open."""

from __future__ import annotations

import contextlib
import logging
import urllib.parse
from collections.abc import AsyncIterator, Iterable
from typing import Any

import msgspec

from rbee.contract.engine import Endpoint
from rbee.contract.errors import RbeeError, WorkerFailedError
from rbee.gateway import (
    AsgiRelay,
    Dispatcher,
    Lease,
    Outcome,
    Pool,
    Route,
    Target,
    UpstreamError,
    UpstreamResponse,
)
from rbee.gateway.hops import HEADER as HOPS
from rbee.gateway.message import client_head, request_bytes
from rbee.http.errors import render
from rbee.worker.face import Receive, Scope, Send

log = logging.getLogger(__name__)

_PREFIX = "/v1"


class EngineLine:
    """Leads to one engine's server.

    Args:
        worker_id: for messages.
        endpoint: where it listens.
        max_body: bytes a request may have.
    """

    def __init__(self, worker_id: str, endpoint: Endpoint, max_body: int) -> None:
        self._worker_id = worker_id
        self._prefix = endpoint.prefix
        self._target = _target(endpoint)
        self._pool = Pool()
        self._relay = AsgiRelay(_ToEngine(_EngineLease(worker_id, self._target)), self._pool, _render, max_body)

    @property
    def address(self) -> str:
        """Of the server, for messages."""
        return f"{self._target.host}:{self._target.port}"

    def close(self) -> None:
        """Close what is idle; requests are not to be made any more."""
        self._pool.close()

    async def relay(self, scope: Scope, receive: Receive, send: Send, path: str, request_id: str) -> None:
        """Pass a request on, and its answer back, as they are."""
        await self._relay(scope, receive, send, path=self._there(path), request_id=request_id)

    @contextlib.asynccontextmanager
    async def exchange(
        self, path: str, headers: Iterable[tuple[bytes, bytes]], body: dict[str, Any], request_id: str
    ) -> AsyncIterator[UpstreamResponse]:
        """One request; an answer that is left before its end is cancelled there.

        Raises:
            WorkerFailedError: the engine does not answer, breaks off, or sends what is no answer.
        """
        named = [(b"x-request-id", request_id.encode("latin-1"))]
        head = client_head(headers)
        if head.hops is not None:
            named.append((HOPS, head.hops))
        message = request_bytes(self._there(path), head, msgspec.json.encode(body), self._target, named)
        try:
            exchange = await self._pool.request(self._target, message)
        except UpstreamError as error:
            raise WorkerFailedError(f"The engine of worker {self._worker_id!r} does not answer: {error}.") from error
        try:
            yield exchange.response
        except (msgspec.DecodeError, AttributeError, TypeError) as error:
            log.exception("the engine of worker %s does not speak as it should", self._worker_id)
            raise WorkerFailedError(
                f"The engine of worker {self._worker_id!r} sent what is no answer; the worker's log has the details."
            ) from error
        except UpstreamError as error:
            raise WorkerFailedError(f"The engine of worker {self._worker_id!r} broke off: {error}.") from error
        finally:
            # An answer that is not complete closes the line here, which is how the engine learns of a cancellation.
            self._pool.done(exchange)

    def _there(self, path: str) -> str:
        """What a route is called at the server."""
        return self._prefix + path.removeprefix(_PREFIX)


class _EngineLease(Lease):
    """The engine takes whatever comes and queues by itself."""

    def __init__(self, worker_id: str, target: Target) -> None:
        self.worker_id = worker_id
        self.target = target

    def finish(self, outcome: Outcome) -> None:
        pass


class _ToEngine(Dispatcher):
    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    async def acquire(self, route: Route) -> Lease:
        return self._lease


def _target(endpoint: Endpoint) -> Target:
    parts = urllib.parse.urlsplit(endpoint.url)
    headers = tuple((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in endpoint.headers)
    tls = parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    return Target(host=parts.hostname or "127.0.0.1", port=port, headers=headers, tls=tls)


def _render(error: RbeeError, request_id: str) -> tuple[int, tuple[tuple[bytes, bytes], ...], bytes]:
    answer = render(error, openai=True, correlation_id=request_id)
    return answer.status, answer.headers, answer.body


async def chunks_of(response: UpstreamResponse) -> AsyncIterator[bytes]:
    """The body of an answer, as it comes."""
    while (chunk := await response.read()) is not None:
        yield chunk
