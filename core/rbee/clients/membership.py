"""Being in the registry: register, renew, register again when it has forgotten us, and never give up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterator

from rbee.clients.refusals import Refusals
from rbee.clients.registry import RegistryClient
from rbee.contract.errors import ConflictError, NotFoundError, RbeeError
from rbee.contract.wire import Component, LeaseRenewal, Registration

log = logging.getLogger(__name__)

_CHANCE = random.SystemRandom()
"""Of the system's own: nobody's seed decides when a component returns, and nobody's sequence moves on by it."""

_LEAST_RETRY_S = 1.0

_REFUSED_S = 30.0
"""Between the tries of one whose id another has."""


def backoff() -> Iterator[float]:
    """Seconds to wait between tries: 0, 2, 4, 8, 16, then 30 for ever."""
    yield from (0.0, 2.0, 4.0, 8.0, 16.0)
    while True:
        yield 30.0


def jittered(seconds: float) -> float:
    """The wait, spread by a quarter each way: a thousand clients must not return in one instant."""
    return seconds * _CHANCE.uniform(0.75, 1.25)


class Membership:
    """Keeps one component's lease for as long as its task runs.

    A registry that was away hears of everybody again within one interval of its return: no wait is longer.  Who fails
    waits somewhere between nothing and the full wait, so that those who failed in one instant do not return in one.

    Args:
        client: the registry.
        registration: makes the present registration.
        interval_s: seconds between renewals.
        heard: told whom the registry has for queen, with each renewal.
        draw: a number from 0 to 1, by chance.
    """

    def __init__(
        self,
        client: RegistryClient,
        registration: Callable[[], Registration],
        interval_s: float,
        heard: Callable[[Component | None], None] = lambda queen: None,
        draw: Callable[[], float] = _CHANCE.random,
    ) -> None:
        self._client = client
        self._registration = registration
        self._interval_s = interval_s
        self._heard = heard
        self._draw = draw
        self._refusals = Refusals()
        self.registered = False
        """Whether the registry had us at the last contact."""

    async def run(self) -> None:
        """Register and renew until cancelled."""
        waits = backoff()
        refused = False
        while True:
            try:
                await self._contact()
            except ConflictError as error:
                # Another process goes by our id, and is heard: a person has to look.  Told once.
                log.log(logging.DEBUG if refused else logging.ERROR, "the registry refuses us: %s", error)
                self.registered, refused = False, True
                await asyncio.sleep(jittered(_REFUSED_S))
                continue
            except RbeeError as error:
                if self._refusals.is_news(error):
                    log.warning("the registry refuses us: %s", error)
                elif self.registered:
                    log.warning("registry: %s", error)
                self.registered = False
                await asyncio.sleep(self.retry_wait(next(waits)))
                continue
            waits, refused = backoff(), False
            self._refusals.accepted()
            await asyncio.sleep(self._interval_s * (0.75 + 0.25 * self._draw()))

    def retry_wait(self, wait_s: float) -> float:
        """Seconds until the next try: anything up to the wait, and never longer than the interval.

        Args:
            wait_s: of `backoff`; its first wait, of nothing, is taken for a second: all would return in one instant.
        """
        return min(max(wait_s, _LEAST_RETRY_S), self._interval_s) * self._draw()

    async def leave(self) -> None:
        """End the lease; silent when the registry is gone."""
        mine = self._registration()
        with contextlib.suppress(RbeeError):
            await self._client.unregister(_renewal(mine))
        self.registered = False

    async def _contact(self) -> None:
        mine = self._registration()
        if self.registered:
            try:
                self._heard(await self._client.renew(_renewal(mine)))
                return
            except NotFoundError:
                log.info("the registry has forgotten %s; registering again", mine.identity)
        await self._client.register(mine)
        self.registered = True


def _renewal(mine: Registration) -> LeaseRenewal:
    return LeaseRenewal(component_type=mine.kind, component_id=mine.identity, instance_id=mine.instance_id)
