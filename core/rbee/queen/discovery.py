"""What the queen learns from the registry, and her own lease there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from rbee.clients import Credentials, Membership, RegistryClient, Transport, backoff, jittered, keep_running
from rbee.clients.who import REGISTRY
from rbee.contract.errors import RbeeError
from rbee.contract.wire import Component, Registration
from rbee.queen.revocations import RevocationTeller
from rbee.settings import Settings

log = logging.getLogger(__name__)


class Discovery:
    """Follows the registry's events for as long as its task runs; a registry that is away is tried for ever.

    Args:
        url: the registry's.
        credentials: shown to the others.
        settings: intervals.
        registration: makes the queen's own registration.
        on_component: told each component that is there or has changed.
        on_hive_left: told a hive whose lease has ended; None when all are about to be told anew.
        revoked: says whose certificates hold no more, see `RevocationTeller`; None where there are none.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        settings: Settings,
        registration: Callable[[], Registration],
        on_component: Callable[[Component], None],
        on_hive_left: Callable[[str | None], None] = lambda hive_id: None,
        revoked: Callable[[], tuple[str, ...]] | None = None,
    ) -> None:
        self._transport = Transport(url, credentials, REGISTRY, timeout_s=5.0)
        self._client = RegistryClient(self._transport)
        self._membership = Membership(self._client, registration, settings.registry.heartbeat_s)
        beat_s = settings.registry.heartbeat_s
        self._revocations = None if revoked is None else RevocationTeller(self._client, revoked, beat_s)
        self._on_component = on_component
        self._on_hive_left = on_hive_left

    async def run(self) -> None:
        """Register and follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(keep_running("the lease", self._membership.run))
            group.create_task(keep_running("following the registry", self._follow))
            if self._revocations is not None:
                group.create_task(keep_running("telling the registry what was revoked", self._revocations.run))

    def revoked(self) -> None:
        """Something was: the registry is told at once."""
        if self._revocations is not None:
            self._revocations.wake()

    async def leave(self) -> None:
        """End the lease."""
        await self._membership.leave()
        await self._transport.close()

    async def _follow(self) -> None:
        waits = backoff()
        while True:
            try:
                told = False
                async with contextlib.aclosing(self._client.events()) as events:
                    async for event in events:
                        waits = backoff()
                        # Not at once: a registry that tells what it has and closes would be asked without end.
                        next(waits)
                        if not told:
                            self._on_hive_left(None)
                            if self._revocations is not None:
                                self._revocations.begin_anew()
                            told = True
                        if event.type != "left":
                            self._take(event.component)
                        elif event.component.component_type == "hive":
                            # A lease that ended says nothing of the process: its own silence does.
                            self._on_hive_left(event.component.component_id)
            except RbeeError as error:
                log.debug("registry: %s", error)
            await asyncio.sleep(jittered(next(waits)))

    def _take(self, component: Component) -> None:
        try:
            self._on_component(component)
        except Exception:
            # It is told again with every new stream; stopping here would hide whatever comes after it.
            log.exception("component %r of the registry was not taken", component.component_id)
