"""What the relay asks of whoever knows the workers."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from rbee.gateway.traits import NO_TRAITS, Traits

Headers = tuple[tuple[bytes, bytes], ...]


class Queued(NamedTuple):
    """Where a request is that waits for a slot.

    Attributes:
        position: its place in the queue, from 1.
        expected_s: seconds until it is served, as those before it were lately; None when unknown.
    """

    position: int
    expected_s: float | None = None


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One request, as far as its way depends on it.

    Attributes:
        request_id: unique.
        path: OpenAI path without prefix, ``/v1/chat/completions``.
        model: as the client named it.
        stream: whether events are expected.
        trusted: the caller has sent the colony's token.
        continues: it takes up an answer that another worker has begun: only a worker that says it can will do.
        tried: workers that have failed with it; another one is better.
        on_wait: told the place in the queue when the request begins to wait for a slot, and when that has changed.
        traits: what else may decide among workers, and who comes first.
    """

    request_id: str
    path: str
    model: str
    stream: bool
    trusted: bool = False
    continues: bool = False
    tried: frozenset[str] = frozenset()
    on_wait: Callable[[Queued], None] | None = None
    traits: Traits = NO_TRAITS


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request is sent.

    Attributes:
        host: address.
        port: port.
        headers: added to the request, credentials for one.
        tls: the connection is encrypted, and the server's certificate checked.
        context: for that; None for the system's.
        server_name: that the certificate has to be for; None for the address.
    """

    host: str
    port: int
    headers: Headers = ()
    tls: bool = False
    context: ssl.SSLContext | None = None
    server_name: str | None = None
    head: bytes = b""
    """What is the same in every request: from behind the path up to the number of Content-Length."""

    def __post_init__(self) -> None:
        host = f"[{self.host}]" if ":" in self.host else self.host
        # Some servers know themselves by name alone at the port that goes without saying.
        named = host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"
        lines = [f" HTTP/1.1\r\nhost: {named}\r\n".encode("latin-1")]
        lines += [b"%b: %b\r\n" % header for header in self.headers]
        msgspec.structs.force_setattr(self, "head", b"".join(lines) + b"content-length: ")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a leased request ended.

    Attributes:
        reached: the worker answered; False when the connection could not be made or broke.
        first_byte_s: seconds from sending to the first byte of the answer's body.
        status: HTTP status of the answer, None when none came.
    """

    reached: bool
    first_byte_s: float | None = None
    status: int | None = None


class Lease(ABC):
    """A place at a worker, held for one request.

    Attributes:
        worker_id: whose.
        model_id: canonical name of the worker's model.
        hive_id: the worker's machine, None when not known.
        reason: why this worker, for a person.
        target: where it is.
        beside: requests that were with the worker already; None when not known.
    """

    worker_id: str
    model_id: str | None = None
    hive_id: str | None = None
    reason: str = ""
    beside: int | None = None
    target: Target

    def watch(self, lost: Callable[[], None]) -> None:  # noqa: B027  # not every dispatcher hears of a worker's end
        """Have `lost` called when the worker turns out dead or hung while the request is with it."""

    @abstractmethod
    def finish(self, outcome: Outcome) -> None:
        """Give the place back; called exactly once."""


class Dispatcher(ABC):
    """Finds a place for a request."""

    def try_acquire(self, route: Route) -> Lease | None:
        """A reserved place if one is free this instant; None when it has to be waited for.

        Raises:
            RbeeError: as `acquire`.
        """
        return None

    async def acquire_free(self, route: Route) -> Lease | None:
        """As `try_acquire`, where whoever knows must be asked.

        Raises:
            RbeeError: as `acquire`.
        """
        return self.try_acquire(route)

    @abstractmethod
    async def acquire(self, route: Route) -> Lease:
        """A reserved place; waits while the model loads or all slots are busy.  Cancelled when the client goes away.

        Raises:
            RbeeError: there is no place, with the reasons.
        """
