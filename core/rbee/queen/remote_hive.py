"""One hive on another machine: looked at, installed, started and stopped over a connection that is open."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol

import msgspec

from rbee.beehives import Beehive
from rbee.contract.errors import NotFoundError, RbeeError, UnavailableError
from rbee.contract.wire import HiveDrain, RemoteHive
from rbee.jobs import Narrator
from rbee.remote.host import Host
from rbee.remote.installing import failed
from rbee.remote.layout import Found
from rbee.remote.running import Keeper, keeper_of, write_program
from rbee.telemetry import TelemetryRegistry

_LOOK_S = 0.2
_ASK_S = 1.0
_STOP_S = 40.0
_END = 16 * 1024


class Drains(Protocol):
    """What is needed of `rbee.queen.drains.Drains`."""

    async def hive(self, hive_id: str, *, on: bool) -> HiveDrain:
        """Have a hive take no more work."""


class AtWork:
    """The hive of one machine, while its connection is open.

    Args:
        beehive: as it was entered.
        host: connected.
        found: what is there.
        telemetry: tells whether the queen hears of it.
        drains: have it finish its work.
        say: the voice of the job.
        action: the operation, for sentences.
    """

    def __init__(
        self,
        beehive: Beehive,
        host: Host,
        found: Found,
        telemetry: TelemetryRegistry,
        drains: Drains,
        say: Narrator,
        action: str,
    ) -> None:
        self.name = beehive.node_name
        self.host = host
        self.found = found
        self.keeper: Keeper = keeper_of(host, found, self.name)
        self._telemetry = telemetry
        self._drains = drains
        self._say = say
        self._action = action
        self.touched = False
        """Whether its hive was stopped or started, or was begun to be."""

    def say(self, sentence: str) -> None:
        """One sentence of the job."""
        self._say.say("queen", self._action, sentence, self.name)

    @property
    def instance(self) -> str | None:
        """Of the hive that the queen hears now; None when she hears none."""
        record = self._telemetry.get_hive_state(self.name)
        return record.instance_id if record is not None and self._telemetry.is_hive_online(self.name) else None

    async def told(self, *, environment: str | None, changed: bool, previous: str | None = None) -> RemoteHive:
        """How it is now."""
        kept = await self.keeper.state()
        record = self._telemetry.get_hive_state(self.name)
        devices = None if record is None or record.devices is None else tuple(one.id for one in record.devices)
        return RemoteHive(
            hive_id=self.name,
            host=self.host.name,
            environment=environment,
            previous=previous,
            running=kept.running,
            pid=kept.pid,
            keeper=self.keeper.kind,
            boot=kept.boot,
            online=self._telemetry.is_hive_online(self.name),
            devices=devices,
            changed=changed,
        )

    def planned(self, *plan: str) -> RemoteHive:
        """What a dry run says."""
        for sentence in plan:
            self.say(sentence)
        return RemoteHive(
            hive_id=self.name,
            host=self.host.name,
            environment=self.found.current,
            previous=self.found.previous,
            keeper=self.keeper.kind,
            online=self._telemetry.is_hive_online(self.name),
            plan=plan,
        )

    async def start(self, settings: Mapping[str, str], within_s: float) -> None:
        """Start it and wait until the queen hears of it.

        Args:
            settings: of rbee there.
            within_s: for how long.

        Raises:
            UnavailableError: it did not come up in time, and what it said last.
        """
        before = self.instance
        await write_program(self.host, self.found.layout, settings)
        self.say(f"Starting the hive on {self.host.name}")
        self.touched = True
        await self.keeper.start()
        await self._until_heard(before, within_s)
        self.say(f"Hive {self.name} is online")

    async def stop(self, drain_s: float) -> None:
        """Let it finish its work, as long as it may take, and stop it; harmless when it does not run."""
        drained = bool(drain_s) and self.instance is not None
        try:
            if drained:
                await self._drain(drain_s)
            self.touched = True
            self.say(f"Stopping the hive on {self.host.name}")
            await self.keeper.stop(_STOP_S)
        except BaseException:
            if drained:
                # It goes on, or its machine cannot be reached: either way it is to take requests again.
                await to_its_end(self._take_requests())
            raise

    async def _take_requests(self) -> None:
        with contextlib.suppress(RbeeError):
            await self._drains.hive(self.name, on=False)

    async def _drain(self, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        said: int | None = None
        try:
            while True:
                told = await self._drains.hive(self.name, on=True)
                left = sum(one.open_requests or 0 for one in told.workers)
                if not left:
                    return
                if left != said:
                    said = left
                    self.say(f"Hive {self.name} takes no more requests; waiting for {left} that are open")
                if time.monotonic() > deadline:
                    self.say(f"Hive {self.name} still answers {left} requests after {within_s:g} s; they are ended")
                    return
                await asyncio.sleep(_LOOK_S)
        except NotFoundError:
            # It has ended meanwhile.
            return
        except RbeeError as error:
            self.say(f"Hive {self.name} could not be told to finish its work: {error.message}")

    async def _until_heard(self, before: str | None, within_s: float) -> None:
        began = asked = time.monotonic()
        while True:
            now = self.instance
            if now is not None and now != before:
                return
            if time.monotonic() - asked > _ASK_S:
                asked = time.monotonic()
                kept = await self.keeper.state()
                if not kept.running or kept.deaths:
                    raise await self._failed("it ended as soon as it was started")
            if time.monotonic() - began > within_s:
                raise await self._failed(f"the queen has not heard of it within {within_s:g} s")
            await asyncio.sleep(_LOOK_S)

    async def _failed(self, why: str) -> RbeeError:
        log = self.found.layout.log
        done = await self.host.run(["/usr/bin/tail", "-c", str(_END), str(log)])
        lines = [line.strip() for line in done.out.splitlines() if line.strip()]
        last = f"; it said last: {lines[-1][:300]}" if lines else ""
        return failed(
            "Starting the hive",
            self.host,
            f"{why}{last}",
            f"All of what it said: rbee hive logs {self.name}. Whether it reaches the queen: rbee hive doctor "
            f"{self.name}",
            UnavailableError,
        )


class Reach(Protocol):
    """Connects to a machine."""

    def __call__(self, beehive: Beehive) -> Awaitable[Host]:
        """The machine, connected; raises what `rbee.remote.connecting.connect` raises."""


QueenUrlFor = Callable[[Beehive], Awaitable[str]]
"""Under which address a machine reaches the queen: her own, or one of its own loopback where a tunnel is kept."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Settings under which a hive is run.

    Attributes:
        queen_url: as the machine reaches her.
        port: of the hive.
        name: its id.
    """

    queen_url: str
    port: int
    name: str

    @property
    def settings(self) -> dict[str, str]:
        """For ``--set``."""
        return {
            "hive.id": self.name,
            "hive.port": str(self.port),
            "server.host": "0.0.0.0",
            "queen.url": self.queen_url,
        }


async def to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Do it whole, also where the job is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)
