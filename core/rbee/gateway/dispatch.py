"""What the relay asks of whoever knows the workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import msgspec


class RoutingFields(msgspec.Struct, frozen=True):
    """The only fields of a body that the relay reads."""

    model: str
    stream: bool | None = False


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One request, as far as its way depends on it.

    Attributes:
        request_id: unique.
        path: OpenAI path without prefix, ``/v1/chat/completions``.
        model: as the client named it.
        stream: whether events are expected.
        trusted: the caller has sent the colony's token.
    """

    request_id: str
    path: str
    model: str
    stream: bool
    trusted: bool = False


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request is sent.

    Attributes:
        host: address.
        port: port.
        headers: added to the request, credentials for one.
    """

    host: str
    port: int
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a leased request ended.

    Attributes:
        reached: the worker answered; False when the connection could not be made or broke.
        first_byte_s: seconds from sending to the first byte of the answer's body.
    """

    reached: bool
    first_byte_s: float | None = None


class Lease(ABC):
    """A place at a worker, held for one request."""

    worker_id: str
    target: Target

    def watch(self, lost: Callable[[], None]) -> None:  # noqa: B027  # not every dispatcher hears of a worker's end
        """Have `lost` called when the worker turns out dead or hung while the request is with it."""

    @abstractmethod
    def finish(self, outcome: Outcome) -> None:
        """Give the place back; called exactly once."""


class Dispatcher(ABC):
    """Finds a place for a request."""

    @abstractmethod
    async def acquire(self, route: Route) -> Lease:
        """A reserved place; waits while the model loads or all slots are busy.  Cancelled when the client goes away.

        Raises:
            RbeeError: there is no place, with the reasons.
        """
