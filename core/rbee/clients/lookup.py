"""Where the queen is, for those who report to her: one owner of the question and of the connection."""

from __future__ import annotations

import asyncio
import logging

from rbee.clients.credentials import Credentials
from rbee.clients.refusals import Refusals
from rbee.clients.registry import RegistryClient
from rbee.clients.transport import Transport
from rbee.clients.who import QUEEN
from rbee.contract.errors import RbeeError
from rbee.contract.wire import Component, Registration

log = logging.getLogger(__name__)


class QueenLookup:
    """Finds the queen, keeps the connection to her, and looks elsewhere when she does not answer.

    The address that was given, and no other.  Without one: the registry's; one that somebody told; the last at which
    she answered.  A registry that is away, or has not heard of her yet, makes nobody lose a queen who answers; one that
    names another address is believed.

    Args:
        registry: None for no registry.
        fixed_url: the address that was given; None for none.
        credentials: shown to the others.
        timeout_s: for a whole answer of the queen.
        last: where she has answered in an earlier life; None when nobody knows.
    """

    def __init__(
        self,
        registry: RegistryClient | None,
        fixed_url: str | None,
        credentials: Credentials,
        timeout_s: float = 5.0,
        last: str | None = None,
    ) -> None:
        self._registry = registry
        self._fixed = fixed_url.rstrip("/") if fixed_url is not None else None
        self._credentials = credentials
        self._timeout_s = timeout_s
        self._named: str | None = None
        self._told: str | None = None
        self._last = last.rstrip("/") if last is not None else None
        self._failing = False
        self._refusals = Refusals()
        self._transport: Transport | None = None
        self._retired: list[Transport] = []
        self._looking = asyncio.Lock()
        self.changed = asyncio.Event()
        """Set when another address than the present one is to be tried; cleared by whoever waits for it."""

    @property
    def current(self) -> Transport | None:
        """The connection in use; None while no queen is known."""
        return self._transport

    @property
    def found_by_all(self) -> bool:
        """Whether others who ask the same registry find the present queen by themselves."""
        return self._transport is not None and self._transport.url == self._named

    async def find(self) -> Transport | None:
        """The queen to speak to now; None when nobody knows of one.

        While she does not answer, each call asks the registry again and goes on to the next address that is known.
        """
        async with self._looking:
            await self._close_retired()
            if self._transport is not None and not self._failing:
                return self._transport
            if self._fixed is None:
                await self._ask()
            known = self._candidates()
            if not known:
                return None
            present = self._transport.url if self._transport is not None else None
            following = known.index(present) + 1 if present in known else 0
            return self._use(known[following % len(known)])

    def answered(self) -> None:
        """The present queen has answered."""
        self._failing = False
        self._refusals.accepted()
        if self._transport is not None:
            self._last = self._transport.url

    def failed(self, transport: Transport, error: RbeeError | None = None) -> None:
        """A queen did not answer; ignored when another one has been found since.

        Args:
            transport: to her.
            error: why; that she refuses us is logged once, until she does not or gives another reason.
        """
        if error is not None and self._refusals.is_news(error):
            log.warning("the queen at %s refuses us: %s", transport.url, error)
        if transport is self._transport:
            self._failing = True

    def named(self, queen: Component | None) -> None:
        """What the registry says of itself; that it knows none is no news of one who answers."""
        if queen is None:
            return
        self._named = queen.url.rstrip("/")
        if self._fixed is None and (self._transport is None or self._transport.url != self._named):
            self._use(self._named)
            self.changed.set()

    def introduced(self, url: str) -> bool:
        """Somebody says that the queen is there; False when that is no address.

        It counts where none was given, and only once the present one does not answer.
        """
        address = Registration(url=url).address
        if address is None:
            return False
        self._told = address
        if self._fixed is None and (self._transport is None or self._failing):
            self._use(address)
            self.changed.set()
        return True

    def join(self, registry: RegistryClient | None) -> None:
        """Ask this registry from now on; None for none any more."""
        self._registry = registry
        self._named = None

    def move(self, url: str | None) -> None:
        """Begin anew: the colony is elsewhere.

        Args:
            url: where the queen is.  With a registry it is where to look first, without one the only place.
        """
        address = url.rstrip("/") if url is not None else None
        self._fixed = address if self._registry is None else None
        self._named, self._told, self._last = None, address, None
        self._retire()

    async def close(self) -> None:
        """Close all connections."""
        self._retire()
        await self._close_retired()

    async def _ask(self) -> None:
        if self._registry is None:
            return
        try:
            found = await self._registry.queen()
        except RbeeError as error:
            # Its last word still counts.
            log.debug("registry: %s", error)
            return
        self._named = found.url.rstrip("/") if found is not None else None

    def _candidates(self) -> list[str]:
        if self._fixed is not None:
            return [self._fixed]
        return list(dict.fromkeys(url for url in (self._named, self._told, self._last) if url is not None))

    def _use(self, url: str) -> Transport:
        if self._transport is None or self._transport.url != url.rstrip("/"):
            self._retire()
            self._transport = Transport(url, self._credentials, QUEEN, timeout_s=self._timeout_s)
        return self._transport

    def _retire(self) -> None:
        """Let go of the present connection; closed later, where that can be waited for."""
        if self._transport is not None:
            self._retired.append(self._transport)
        self._transport, self._failing = None, False

    async def _close_retired(self) -> None:
        while self._retired:
            await self._retired.pop().close()
