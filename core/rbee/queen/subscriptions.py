"""The queen's ear: she reads every hive's stream of telemetry, for as long as the hive is to be known."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

import msgspec

from rbee.clients import Credentials, HiveClient, Transport, backoff, jittered, keep_running
from rbee.clients.who import the_hive
from rbee.contract.errors import ConflictError, RbeeError, UnreachableError
from rbee.contract.wire import HiveHeartbeat, HiveInfo, HiveTelemetry
from rbee.queen.subscription import Subscription
from rbee.queen.tunnels import Roads
from rbee.telemetry import Limits

log = logging.getLogger(__name__)

_AT_ONCE = 32
"""Hives that are met at the same time: a colony that comes back whole must not fill the queen's event loop."""


class HiveSubscriptions:
    """Follows hives at their addresses; each has a task of its own, which tries for as long as the hive is known.

    What comes is handed on as if the hive had pushed it.

    Args:
        queen_url: introduces the queen to the hives.
        credentials: shown to the others.
        limits: how long a hive may be silent.
        clock: seconds that never go back.
        known: whether the queen still has a record of a hive.
        take: given each beat.
        roads: lead to the hives.
    """

    def __init__(
        self,
        queen_url: str,
        credentials: Credentials,
        limits: Limits,
        clock: Callable[[], float],
        known: Callable[[str], bool],
        take: Callable[[HiveHeartbeat], object],
        roads: Roads | None = None,
    ) -> None:
        self._roads = roads or Roads()
        self._queen_url = queen_url
        self._credentials = credentials
        self._limits = limits
        self._clock = clock
        self._known = known
        self._take = take
        self._subscriptions: dict[str, Subscription] = {}
        self._leased: set[str] = set()
        self._meeting = asyncio.Semaphore(_AT_ONCE)
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    def follow(self, hive_id: str, url: str, *, leased: bool = False, answered: str | None = None) -> None:
        """A hive is at that address.  Harmless when repeated: it is only tried again at once, where it was waited for.

        Args:
            hive_id: of the hive.
            url: where it listens.
            leased: the registry says so; the hive is tried until `release`, even when nothing else is heard of it.
            answered: the instance that has just answered there.  Its own word of another address does not count from
                now on, also while the stream is still being opened.
        """
        if self._closed:
            return
        if leased:
            self._leased.add(hive_id)
        present = self._subscriptions.get(hive_id)
        if present is not None and present.url == url:
            if answered is not None:
                present.answered, present.instance_id = True, answered
            # News of a hive that is being waited for: it may just have started.
            present.again.set()
            return
        self.forget(hive_id)
        new = self._subscriptions[hive_id] = Subscription(
            hive_id=hive_id, url=url, answered=answered is not None, instance_id=answered
        )
        name = f"the stream of hive {hive_id}"
        new.task = asyncio.create_task(keep_running(name, lambda: self._follow(new)), name=name)

    def release(self, hive_id: str | None = None) -> None:
        """The registry no longer says that a hive is there; without an id, that any is."""
        if hive_id is None:
            self._leased.clear()
        else:
            self._leased.discard(hive_id)

    def forget(self, hive_id: str) -> None:
        """Read a hive's stream no more; harmless when it is not read."""
        found = self._subscriptions.pop(hive_id, None)
        if found is not None and found.task is not None:
            found.task.cancel()
            self._ending.add(found.task)
            found.task.add_done_callback(self._ending.discard)

    def hears(self, hive_id: str) -> bool:
        """Whether the hive's stream brings telemetry at present."""
        found = self._subscriptions.get(hive_id)
        if found is None or found.heard_at is None:
            return False
        return self._clock() - found.heard_at < self._limits.hive_degraded_s

    def address(self, hive_id: str, instance_id: str | None) -> str | None:
        """Where that instance of the hive has answered the queen, whatever it believes itself; None when nowhere."""
        found = self._subscriptions.get(hive_id)
        return found.url if found is not None and found.answered and found.instance_id == instance_id else None

    def follows(self, hive_id: str, url: str) -> bool:
        """Whether the hive is followed at that address."""
        found = self._subscriptions.get(hive_id)
        return found is not None and found.url == url

    async def close(self) -> None:
        """End all streams."""
        self._closed = True
        for hive_id in list(self._subscriptions):
            self.forget(hive_id)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _wanted(self, one: Subscription) -> bool:
        return one.hive_id in self._leased or self._known(one.hive_id)

    async def _follow(self, one: Subscription) -> None:
        try:
            waits = backoff()
            while self._wanted(one):
                try:
                    await self._hear(one)
                except UnreachableError as error:
                    log.debug("%s", error)
                except RbeeError as error:
                    # Somebody answers, and will answer so again: a person has to look.
                    log.log(logging.DEBUG if one.warned else logging.WARNING, "stream of %r: %s", one.hive_id, error)
                    one.warned = True
                if one.heard_at is not None:
                    log.info("no longer hearing hive %s at %s", one.hive_id, one.url)
                    one.heard_at = None
                    waits = backoff()
                    # Not at once: a hive that tells one line and closes would be asked without end.
                    next(waits)
                await one.wait(jittered(next(waits)))
            if self._subscriptions.get(one.hive_id) is one:
                # Before anything is waited for: news that comes meanwhile begins anew.
                del self._subscriptions[one.hive_id]
        finally:
            one.heard_at = None

    async def _hear(self, one: Subscription) -> None:
        transport = Transport(
            # Each time anew: the road there may have changed.
            await self._roads.to(one.hive_id, one.url),
            self._credentials,
            the_hive(one.hive_id),
            timeout_s=5.0,
            # A stream is silent for as long as its hive may be before it counts as down, and is then opened anew.
            silence_s=self._limits.hive_down_s,
        )
        try:
            await self._listen(HiveClient(transport), one)
        finally:
            await transport.close()

    async def _listen(self, client: HiveClient, one: Subscription) -> None:
        async with self._meeting:
            told = await client.capabilities(self._roads.queen_url(one.hive_id, self._queen_url))
        self._check(one, told.hive)
        async with contextlib.aclosing(client.telemetry()) as lines:
            async for line in lines:
                self._check(one, line.hive_info)
                if one.heard_at is None:
                    log.info("hearing hive %s at %s", one.hive_id, one.url)
                one.heard_at, one.answered, one.instance_id = self._clock(), True, line.hive_info.instance_id
                self._take(_beat(line, one.url))

    @staticmethod
    def _check(one: Subscription, hive: HiveInfo) -> None:
        if hive.id != one.hive_id:
            raise ConflictError(
                f"Hive {one.hive_id!r} was announced at {one.url!r}, where hive {hive.id!r} answers. "
                "See that each hive announces an address of its own."
            )


def _beat(line: HiveTelemetry, url: str) -> HiveHeartbeat:
    """A line as the heartbeat that the hive would have pushed."""
    return HiveHeartbeat(
        # What answers here is reached here, whatever address it has in mind itself.
        hive=msgspec.structs.replace(line.hive_info, url=url),
        timestamp=line.timestamp,
        workers=line.workers,
        capabilities=line.capabilities,
        engines=line.engines,
        node=line.node,
    )
