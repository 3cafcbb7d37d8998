"""Certificates live for a day: each program has its own renewed as long as it runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple

from rbee.contract.errors import RbeeError
from rbee.contract.wire import utc_now
from rbee.trust.identity import Identity

log = logging.getLogger(__name__)

_LOOK_S = 30.0
_RETRY_S, _LONGEST_RETRY_S = 5.0, 300.0


class Renewed(NamedTuple):
    """What an authority gives.

    Attributes:
        certificate: PEM.
        roots: PEM.
        revoked: serial numbers of certificates that hold no more.
    """

    certificate: bytes
    roots: bytes
    revoked: frozenset[int] = frozenset()


class Renewal:
    """Renews a certificate when half of its time is over, and tries again until it has.

    Args:
        identity: whose.
        ask: sends a request (PKCS #10, PEM) to the authority.
        now: the time, with a time zone.
        look_s: most seconds between two looks at the time, which may jump.
        retry_s: seconds after a first failure; they double.
        outdated: whether a new one is wanted whatever the time.
    """

    def __init__(
        self,
        identity: Identity,
        ask: Callable[[bytes], Awaitable[Renewed]],
        now: Callable[[], datetime] = utc_now,
        look_s: float = _LOOK_S,
        retry_s: float = _RETRY_S,
        outdated: Callable[[], bool] = lambda: False,
    ) -> None:
        self._identity = identity
        self._ask = ask
        self._now = now
        self._most_look_s = look_s
        self._retry_s = retry_s
        self._outdated = outdated

    async def run(self) -> None:
        """Renew until cancelled."""
        wait = self._retry_s
        while True:
            if not self._identity.wants_renewal(self._now()) and not self._outdated():
                await asyncio.sleep(self._look_s())
                continue
            try:
                await self.renew()
            except RbeeError as error:
                log.warning(
                    "the certificate, which ends %s, could not be renewed; it is tried again: %s",
                    self._identity.expires_at.isoformat(timespec="minutes"),
                    error.message,
                )
                await asyncio.sleep(wait)
                wait = min(wait * 2, _LONGEST_RETRY_S)
            else:
                wait = self._retry_s
                # Where the clock is half a lifetime ahead, a new one is as old as the one before it.
                await asyncio.sleep(self._look_s())

    def _look_s(self) -> float:
        return min(self._most_look_s, self._identity.look_s())

    async def renew(self) -> None:
        """Have a new certificate now.

        Raises:
            RbeeError: the authority does not answer, or gives none.
        """
        key, request = self._identity.ask()
        given = await self._ask(request)
        self._identity.take(key, given.certificate, given.roots)
        self._identity.revoke(given.revoked)
        log.info("the certificate was renewed; it ends %s", self._identity.expires_at.isoformat(timespec="minutes"))
