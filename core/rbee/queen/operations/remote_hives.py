"""The operations on hives of other machines: each is one job for one machine, over SSH."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

from rbee.beehives import HIVE_PORT, Beehive
from rbee.contract.errors import ConflictError, InvalidRequestError, NotFoundError
from rbee.contract.wire import (
    HiveInstall,
    HiveLogs,
    HiveStart,
    HiveStop,
    HiveUninstall,
    HiveWork,
    RemoteHive,
)
from rbee.jobs import Narrator, Operation, parse
from rbee.queen.remote_hive import AtWork, Drains, QueenUrlFor, Reach, Wanted
from rbee.queen.remote_installs import RemoteInstalls
from rbee.queen.remote_joining import RemoteJoining
from rbee.remote.installing import Installing, Progress
from rbee.remote.layout import find
from rbee.telemetry import TelemetryRegistry


class RemoteHives:
    """Hives on other machines.

    Args:
        entered: a machine by its name; raises NotFoundError.
        reach: connects to it.
        telemetry: whom the queen hears.
        drains: have hives finish their work.
        installs: bring rbee there.
        joining: lets them join.
        queen_url_for: how a machine reaches the queen.
    """

    def __init__(
        self,
        entered: Callable[[str], Awaitable[Beehive]],
        reach: Reach,
        telemetry: TelemetryRegistry,
        drains: Drains,
        installs: RemoteInstalls,
        joining: RemoteJoining,
        queen_url_for: QueenUrlFor,
    ) -> None:
        self._entered = entered
        self._reach = reach
        self._telemetry = telemetry
        self._drains = drains
        self._installs = installs
        self._joining = joining
        self._queen_url_for = queen_url_for
        self._turns: dict[str, asyncio.Lock] = {}

    def operations(self) -> Mapping[str, Operation]:
        """All of them, by name."""
        install = Operation(handler=self.hive_install, request=HiveInstall, resumable=True)
        return {
            "hive_install": install,
            "hive_upgrade": install,
            "hive_start": Operation(handler=self.hive_start, request=HiveStart, resumable=True),
            "hive_stop": Operation(handler=self.hive_stop, request=HiveStop, resumable=True),
            # Not begun again: it may have been done, and what runs now is somebody's work.
            "hive_restart": Operation(handler=self.hive_restart, request=HiveStop),
            "hive_uninstall": Operation(handler=self.hive_uninstall, request=HiveUninstall, resumable=True),
            "hive_status": Operation(handler=self.hive_status, request=HiveWork, resumable=True),
            "hive_logs": Operation(handler=self.hive_logs, request=HiveLogs),
        }

    async def hive_install(self, body: dict[str, Any], say: Narrator) -> RemoteHive:
        """Install what the queen's machine runs, let join, start, wait until it is heard; go back if it is not."""
        wanted = parse(body, HiveInstall)
        beehive = await self._beehive(wanted)
        async with self._at_work(beehive, say, "hive_install") as hive:
            return await self._installs.install(hive, wanted, lambda: self._settings(beehive), say)

    async def hive_start(self, body: dict[str, Any], say: Narrator) -> RemoteHive:
        """Start a hive that is installed."""
        wanted = parse(body, HiveStart)
        beehive = await self._beehive(wanted)
        async with self._at_work(beehive, say, "hive_start") as hive:
            environment = _installed(hive)
            if (await hive.keeper.state()).running and hive.instance is not None:
                hive.say(f"Hive {hive.name} runs already")
                return await hive.told(environment=environment, previous=hive.found.previous, changed=False)
            self._joining.check_not_put_out(hive.name)
            if wanted.dry_run:
                return hive.planned(f"{environment} would be started on {hive.host.name} by {hive.keeper.kind}")
            await hive.start((await self._settings(beehive)).settings, wanted.within_s)
            return await hive.told(environment=environment, previous=hive.found.previous, changed=True)

    async def hive_stop(self, body: dict[str, Any], say: Narrator) -> RemoteHive:
        """Let a hive finish its work and stop it; it does not come back with its machine."""
        wanted = parse(body, HiveStop)
        async with self._at_work(await self._beehive(wanted), say, "hive_stop") as hive:
            environment = _installed(hive)
            running = (await hive.keeper.state()).running
            if wanted.dry_run:
                return hive.planned(_would_stop(hive, running=running))
            if running:
                await hive.stop(wanted.drain_s)
            else:
                hive.say(f"Hive {hive.name} does not run")
            return await hive.told(environment=environment, previous=hive.found.previous, changed=running)

    async def hive_restart(self, body: dict[str, Any], say: Narrator) -> RemoteHive:
        """Stop a hive, as `hive_stop` does, and start it."""
        wanted = parse(body, HiveStop)
        beehive = await self._beehive(wanted)
        async with self._at_work(beehive, say, "hive_restart") as hive:
            environment = _installed(hive)
            running = (await hive.keeper.state()).running
            self._joining.check_not_put_out(hive.name)
            if wanted.dry_run:
                return hive.planned(_would_stop(hive, running=running), f"{environment} would be started")
            if running:
                await hive.stop(wanted.drain_s)
            await hive.start((await self._settings(beehive)).settings, wanted.within_s)
            return await hive.told(environment=environment, previous=hive.found.previous, changed=True)

    async def hive_uninstall(self, body: dict[str, Any], say: Narrator) -> RemoteHive:
        """Stop a hive and remove rbee from its machine; models and data stay, unless all is to go."""
        wanted = parse(body, HiveUninstall)
        async with self._at_work(await self._beehive(wanted), say, "hive_uninstall") as hive:
            root = hive.found.layout.root
            if not hive.found.there:
                hive.say(f"Nothing of rbee is in '{root}' on {hive.host.name}")
                return await hive.told(environment=None, changed=False)
            running = (await hive.keeper.state()).running
            kept = "all of it, with models" if wanted.purge else "but for models and data, which stay"
            if wanted.dry_run:
                return hive.planned(
                    _would_stop(hive, running=running), f"'{root}' on {hive.host.name} would be removed, {kept}"
                )
            if running:
                await hive.stop(wanted.drain_s)
            hive.say(f"Removing rbee from {hive.host.name}, {kept}")
            await hive.keeper.forget()
            await Installing(hive.host, hive.found, _silent(hive)).clear(keep_data=not wanted.purge)
            if wanted.purge and self._joining.forget(hive.name):
                hive.say(f"The certificate of hive {hive.name} was taken back")
            return await hive.told(environment=None, changed=True)

    async def hive_status(self, body: dict[str, Any], say: Narrator) -> RemoteHive:
        """What is installed on a machine, and whether it runs."""
        wanted = parse(body, HiveWork)
        async with self._at_work(await self._beehive(wanted), say, "hive_status", alone=False) as hive:
            return await hive.told(environment=hive.found.current, previous=hive.found.previous, changed=False)

    async def hive_logs(self, body: dict[str, Any], say: Narrator) -> None:
        """What a hive has said, and with `follow` what it says."""
        wanted = parse(body, HiveLogs)
        async with self._at_work(await self._beehive(wanted), say, "hive_logs", alone=False) as hive:
            log = hive.found.layout.log
            if await hive.host.read(log, 1) is None:
                raise NotFoundError(f"There is no log '{log}' on {hive.host.name}: its hive was never started there.")
            follow = ["-F"] if wanted.follow else []
            argv = ["/usr/bin/env", "tail", "-n", str(wanted.lines), *follow, str(log)]
            async with contextlib.aclosing(hive.host.lines(argv)) as lines:
                async for line in lines:
                    say.data("line", {"line": line})

    async def _beehive(self, wanted: HiveWork) -> Beehive:
        if wanted.hive_id is None:
            raise InvalidRequestError("'hive_id' is missing: which of the machines in `rbee hive ls`.", param="hive_id")
        return await self._entered(wanted.hive_id)

    async def _settings(self, beehive: Beehive) -> Wanted:
        url = await self._queen_url_for(beehive)
        return Wanted(queen_url=url, port=beehive.hive_port or HIVE_PORT, name=beehive.node_name)

    @contextlib.asynccontextmanager
    async def _at_work(
        self, beehive: Beehive, say: Narrator, action: str, *, alone: bool = True
    ) -> AsyncGenerator[AtWork]:
        """A machine, connected and looked at; one job after the other changes it."""
        async with contextlib.AsyncExitStack() as stack:
            if alone:
                await stack.enter_async_context(self._turns.setdefault(beehive.node_name, asyncio.Lock()))
            if action != "hive_logs":
                say.say("queen", action, f"Connecting to {beehive.ssh_host or beehive.node_name}", beehive.node_name)
            host = await self._reach(beehive)
            stack.push_async_callback(host.close)
            found = await find(host, beehive.install_path)
            yield AtWork(beehive, host, found, self._telemetry, self._drains, say, action)


def _installed(hive: AtWork) -> str:
    if hive.found.current is None:
        raise ConflictError(
            f"Rbee is not installed in '{hive.found.layout.root}' on {hive.host.name}. Install it: rbee hive install "
            f"{hive.name}"
        )
    return hive.found.current


def _would_stop(hive: AtWork, *, running: bool) -> str:
    if not running:
        return f"The hive on {hive.host.name} does not run"
    return f"The hive on {hive.host.name} would finish its open requests and be stopped"


def _silent(hive: AtWork) -> Progress:
    return Progress(say=hive.say, sent=lambda _done, _total: None)
