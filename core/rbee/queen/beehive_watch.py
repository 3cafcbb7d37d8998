"""The beehives an operator has entered, as the queen keeps them: a third source of discovery besides the fast path
and the registry, and the place where the last contact with each is written down.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rbee.beehives import HIVE_PORT, Beehive, BeehiveChanges, Entered
from rbee.beehives.later import BeehivesLater
from rbee.clients import keep_running
from rbee.contract.errors import NotFoundError, RbeeError, UnavailableError
from rbee.contract.wire import Registration
from rbee.queen.beehive_contact import Change, Contact
from rbee.queen.beehive_probe import Finding, url_at
from rbee.queen.beehive_ways import Ways, goes_directly, may_have_tunnel
from rbee.telemetry import TelemetryRegistry
from rbee.telemetry.records import HiveRecord

log = logging.getLogger(__name__)

_TICK_S = 1.0
_RELOAD_S = 30.0
_RETRY_S = 5.0
_AT_ONCE = 32


class BeehiveWatch:
    """Opens the registry of beehives and tries to reach each enabled one for as long as its task runs.

    Args:
        place: of the registry's data base: its file, or the URL of one elsewhere.
        telemetry: knows which hives beat.
        register: the fast path of hives, told of each hive that answers.
        ways: tries the ways to a machine.
        hears: whether the queen reads a hive's stream, so that she reaches it.
        tick_s: seconds between two looks whether a hive beats.
    """

    def __init__(
        self,
        place: Path | str,
        telemetry: TelemetryRegistry,
        register: Callable[[Registration], None],
        ways: Ways,
        hears: Callable[[str], bool] = lambda hive_id: True,
        tick_s: float = _TICK_S,
    ) -> None:
        self._registry = BeehivesLater(place)
        self._telemetry = telemetry
        self._register = register
        self._ways = ways
        self._hears = hears
        self._tick_s = tick_s
        self._stale = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._probes = asyncio.Semaphore(_AT_ONCE)
        self._mute = False
        self._watched: dict[tuple[object, ...], asyncio.Task[None]] = {}

    async def open(self) -> None:
        """Open the data base; a server that does not answer is tried again by `run`: the colony works without it.

        Raises:
            ConfigurationError: it cannot be opened, and will not be at another time.
        """
        try:
            await self._registry.open()
        except UnavailableError as error:
            log.warning("beehives: %s It is tried again.", error)

    async def close(self) -> None:
        """Close the data base; after `run` has ended."""
        await self._registry.close()

    async def enter(self, beehives: Sequence[BeehiveChanges], *, update: bool) -> Entered:
        """Enter machines, all or none, and try to reach them at once; raises as `BeehiveRegistry.enter`."""
        entered = await self._registry.enter(beehives, update=update)
        self._stale.set()
        return entered

    async def get(self, node_name: str) -> Beehive:
        """One machine; raises as `BeehiveRegistry.get`."""
        return await self._registry.get(node_name)

    async def list(self) -> list[Beehive]:
        """All machines, by name."""
        return await self._registry.list()

    async def remove(self, node_name: str) -> None:
        """Take a machine out; raises as `BeehiveRegistry.remove`.  Its hive goes on, if it runs."""
        await self._registry.remove(node_name)
        self._stale.set()

    async def queen_url(self, node_name: str, url: str) -> str:
        """Under which address a machine reaches the queen; where it is a tunnel's, that is the only way from now on.

        Args:
            node_name: of the machine.
            url: the queen's.

        Raises:
            NotFoundError: there is none of that name.
            RbeeError: a tunnel is needed and does not open.
        """
        # First as it stands there now: a change that is not followed yet would close the tunnel that is waited for.
        await self._reload()
        beehive = await self._registry.get(node_name)
        found = await self._ways.queen_url(beehive, url)
        if found == url or beehive.reach_wanted == "tunnel":
            return found
        # Its hive is told once, and must find her there for as long as it lives: at the same port.
        await self._registry.set_contact(node_name, beehive.status, tunnel_port=int(found.rpartition(":")[2]))
        await self._registry.enter([BeehiveChanges(node_name=node_name, reach_wanted="tunnel")], update=True)
        await self._reload()
        return await self._ways.queen_url(await self._registry.get(node_name), url)

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            await keep_running("the watch over beehives", self._reload_forever)
        finally:
            for place in self._watched:
                self._ways.close(str(place[0]))
            tasks = list(self._watched.values())
            self._watched.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _reload_forever(self) -> None:
        failing = False
        while True:
            self._stale.clear()
            try:
                await self._reload()
                failing = False
            except RbeeError as error:
                # Those that are watched stay so.
                log.log(logging.DEBUG if failing else logging.WARNING, "beehives: %s", error)
                failing = True
            # Now and then in any case: another program may write to the same data base.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RETRY_S if failing else _RELOAD_S):
                    await self._stale.wait()

    async def _reload(self) -> None:
        """Watch what is on the list now; one at a time, so that an older list is never followed after a newer one."""
        async with self._reloading:
            self._reconcile(await self._registry.list())

    def _reconcile(self, beehives: Sequence[Beehive]) -> None:
        wanted = {_place(one): one for one in beehives if _is_watched(one)}
        for place in self._watched.keys() - wanted.keys():
            self._watched.pop(place).cancel()
            self._ways.close(str(place[0]))
        for place in wanted.keys() - self._watched.keys():
            beehive = wanted[place]
            self._watched[place] = asyncio.create_task(self._watch(beehive), name=f"beehive {beehive.node_name}")

    async def _watch(self, beehive: Beehive) -> None:
        contact = Contact(beehive)
        await keep_running(f"the watch over beehive {beehive.node_name!r}", lambda: self._follow(beehive, contact))

    async def _follow(self, beehive: Beehive, contact: Contact) -> None:
        clock = asyncio.get_running_loop().time
        called = False
        while True:
            record = self._beating(beehive, contact)
            calls = self._telemetry.is_hive_online(beehive.node_name)
            if calls and not called:
                # One of its name has told of itself, and may be behind a tunnel.
                contact.again()
            called = calls
            answers = record is not None and self._hears(record.hive_id)
            if record is not None:
                way = self._ways.of(record.hive_id, answers=answers)
                change = contact.heard(clock(), time.time(), record.devices, reach=way, answers=answers)
                await self._write(beehive, contact, change, "it beats")
            if not answers and contact.is_due(clock()):
                async with self._probes:
                    finding = await self._ways.look(beehive, contact.hive_id, contact.again)
                self._tell(finding)
                change = contact.tried(clock(), time.time(), finding, beats=record is not None)
                await self._write(beehive, contact, change, finding.detail)
            port = self._ways.tunnel_port(beehive.node_name)
            await self._write(beehive, contact, contact.leads_back(port), "its tunnel leads back")
            await asyncio.sleep(self._tick_s)

    def _beating(self, beehive: Beehive, contact: Contact) -> HiveRecord | None:
        """Its hive's record while it beats by itself; that it was found once is no beat.

        Its hive is who has answered at its address, or goes by its name and is reached there.  A hive elsewhere may
        go by its name as well.
        """
        for name in (contact.hive_id, beehive.node_name):
            record = None if name is None else self._telemetry.get_hive_state(name)
            if record is None or record.info is None or not self._telemetry.is_hive_online(record.hive_id):
                continue
            if name == contact.hive_id or _is_at(beehive, record.url):
                return record
        return None

    def _tell(self, finding: Finding) -> None:
        if finding.hive is None:
            return
        hive = finding.hive.hive
        self._register(
            Registration(component_type="hive", component_id=hive.id, url=finding.url, instance_id=hive.instance_id)
        )

    async def _write(self, beehive: Beehive, contact: Contact, change: Change | None, detail: str) -> None:
        if change is None:
            return
        before, name = contact.status, beehive.node_name
        try:
            await self._registry.set_contact(
                name,
                change.status,
                change.when,
                backends=change.backends,
                devices=change.devices,
                reach=change.reach,
                tunnel_port=change.tunnel_port,
                place=beehive.place,
            )
        except NotFoundError:
            # Removed or moved meanwhile, perhaps by another program: the next reload ends this watch.
            self._stale.set()
        except RbeeError as error:
            # Tried again with every look; told once.
            log.log(logging.DEBUG if self._mute else logging.WARNING, "a contact could not be noted: %s", error)
            self._mute = True
        else:
            contact.wrote(change)
            self._mute = False
            if change.status != before:
                log.info("beehive %r is %s: %s", name, change.status, detail)


def _is_watched(beehive: Beehive) -> bool:
    return beehive.enabled and (goes_directly(beehive) or may_have_tunnel(beehive))


def _is_at(beehive: Beehive, url: str | None) -> bool:
    """Whether a hive's address is the one that was entered for a machine."""
    host = (beehive.ssh_host or "").strip("[]").lower()
    return url == url_at(host, beehive.hive_port or HIVE_PORT)


def _place(beehive: Beehive) -> tuple[object, ...]:
    """What a watch depends on: another one begins when it changes."""
    return (
        beehive.node_name,
        *beehive.place,
        beehive.ssh_user,
        beehive.ssh_key_path,
        beehive.ssh_alias,
        beehive.ssh_jump,
        beehive.host_key_fingerprint,
        beehive.reach_wanted,
        goes_directly(beehive),
    )
