"""The operation `queen_check`: what `rbee doctor` asks of the queen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from rbee.beehives import Beehive
from rbee.clients import Credentials, Transport
from rbee.clients.who import REGISTRY
from rbee.contract.checks import Check
from rbee.contract.errors import RbeeError
from rbee.contract.version import __version__
from rbee.contract.wire import Checks
from rbee.jobs import Narrator
from rbee.queen.clocks import SKEW_S, HiveClocks
from rbee.settings import Settings
from rbee.telemetry import TelemetryRegistry

_PATIENCE_S = 3.0


class QueenChecks:
    """Looks at the colony as the queen sees it.

    Args:
        telemetry: hives and workers.
        clocks: of the hives.
        settings: of this program.
        credentials: shown to the others.
        registry_url: None for no registry.
        store: raises when the store of jobs takes nothing.
        beehives: the machines that the operator has entered; None where there is no such list.
    """

    def __init__(
        self,
        telemetry: TelemetryRegistry,
        clocks: HiveClocks,
        settings: Settings,
        credentials: Credentials,
        registry_url: str | None,
        store: Callable[[], Awaitable[None]],
        beehives: Callable[[], Awaitable[Sequence[Beehive]]] | None = None,
    ) -> None:
        self._telemetry = telemetry
        self._clocks_of_hives = clocks
        self._settings = settings
        self._credentials = credentials
        self._registry_url = registry_url
        self._store = store
        self._beehives = beehives

    async def queen_check(self, _body: dict[str, Any], _say: Narrator) -> Checks:
        """Look at everything."""
        found = [
            Check(name="queen", status="ok", detail=f"rbee {__version__}"),
            *self._hives(),
            *self._clocks(),
            *self._versions(),
            *self._workers(),
            await self._registry(),
            self._presence(),
            *await self._machines(),
            await self._jobs(),
        ]
        return Checks(checks=tuple(found))

    def _hives(self) -> list[Check]:
        found = []
        for record in sorted(self._telemetry.list_all_hives(), key=lambda record: record.hive_id):
            name, age = f"hive {record.hive_id}", self._telemetry.hive_age(record.hive_id)
            rival = self._telemetry.rival(record.hive_id)
            if rival is not None:
                detail = f"two hives go by this id: {record.url} is heard, {rival.url or rival.hostname} is not"
                remedy = "Give one of them another id (setting hive.id) and start it again."
                found.append(Check(name=name, status="fail", detail=detail, remedy=remedy))
                continue
            if self._telemetry.is_hive_online(record.hive_id):
                found.append(Check(name=name, status="ok", detail=f"online at {record.url}"))
                continue
            silent = "has not been heard yet" if age is None else f"has been silent for {age:.0f} s"
            reached = "its machine" if record.url is None else record.url
            remedy = f"See that `rbee hive start` runs there and that {reached} is reached from the queen's machine."
            found.append(Check(name=name, status="fail", detail=silent, remedy=remedy))
        if not found:
            remedy = "Start one: `rbee up` here, or `rbee hive start --queen-url` on another machine."
            found.append(Check(name="hives", status="fail", detail="none is known", remedy=remedy))
        return found

    def _clocks(self) -> list[Check]:
        online = {record.hive_id for record in self._telemetry.list_active_hives()}
        found = []
        skews = self._clocks_of_hives.skews
        for hive_id in sorted(online & set(skews)):
            skew = skews[hive_id]
            away = abs(skew) > SKEW_S
            side = "ahead of" if skew > 0 else "behind"
            detail = f"{abs(skew):.1f} s {side} the queen's" if away else "agrees with the queen's"
            remedy = "Let both machines set their clocks by the network (NTP)." if away else None
            name = f"clock of {hive_id}"
            found.append(Check(name=name, status="warn" if away else "ok", detail=detail, remedy=remedy))
        return found

    def _versions(self) -> list[Check]:
        versions = {
            record.hive_id: record.info.version
            for record in self._telemetry.list_active_hives()
            if record.info is not None and record.info.version is not None
        }
        other = {hive_id: version for hive_id, version in versions.items() if version != __version__}
        if not other:
            return [Check(name="versions", status="ok", detail=f"all {__version__}")] if versions else []
        told = ", ".join(f"{hive_id} has {version}" for hive_id, version in sorted(other.items()))
        return [
            Check(
                name="versions",
                status="warn",
                detail=f"the queen has {__version__}, {told}",
                remedy="Install the same version of rbee on all machines, then restart them.",
            )
        ]

    def _workers(self) -> list[Check]:
        entries = sorted(self._telemetry.list_all_workers(), key=lambda entry: entry.worker_id)
        found = []
        for entry in entries:
            presence = self._telemetry.presence(entry)
            name = f"worker {entry.worker_id}"
            rival = self._telemetry.rival_hive(entry)
            if rival is not None:
                detail = f"two workers go by this id: the one on {entry.sampled_by} is heard, the one on {rival} is not"
                remedy = f"Stop one of them, or give it another id (--worker-id): on {rival}, see `rbee worker list`."
                found.append(Check(name=name, status="fail", detail=detail, remedy=remedy))
            elif presence == "hung":
                remedy = f"If it does not come back by itself: rbee worker stop {entry.worker_id} --force"
                detail = "its process is there and does not speak: it gets no requests"
                found.append(Check(name=name, status="fail", detail=detail, remedy=remedy))
            elif presence == "unobserved":
                detail = "it serves, and no hive measures it"
                remedy = "If its machine has a hive, see that it runs; a worker started by hand needs none."
                found.append(Check(name=name, status="warn", detail=detail, remedy=remedy))
        if not found:
            count = len(entries)
            found.append(Check(name="workers", status="ok", detail=f"{count} known, none hung or unobserved"))
        return found

    async def _registry(self) -> Check:
        if self._registry_url is None:
            return Check(name="registry", status="ok", detail="none is configured; hives report to the queen directly")
        transport = Transport(self._registry_url, self._credentials, REGISTRY, timeout_s=_PATIENCE_S)
        try:
            await transport.call("GET", "/health", dict)
        except RbeeError as error:
            remedy = "Start it (`rbee registry start`) or correct the setting registry.url; nothing is lost meanwhile."
            return Check(name="registry", status="warn", detail=error.message, remedy=remedy)
        finally:
            await transport.close()
        return Check(name="registry", status="ok", detail=f"answers at {self._registry_url}")

    def _presence(self) -> Check:
        store = self._settings.registry.store
        lost = ": leases are gone with the registry and come back with the next heartbeats" if store == "memory" else ""
        return Check(name="presence store", status="ok", detail=f"{store}{lost}")

    async def _machines(self) -> list[Check]:
        if self._beehives is None:
            return []
        found = []
        for beehive in await self._beehives():
            if beehive.enabled and beehive.status in {"offline", "error", "reachable"}:
                remedy = (
                    f"Start a hive on {beehive.ssh_host or beehive.node_name}, or take it off the list: "
                    f"rbee hive rm {beehive.node_name}"
                )
                name, detail = f"beehive {beehive.node_name}", f"enabled, and {beehive.status}"
                found.append(Check(name=name, status="warn", detail=detail, remedy=remedy))
        return found

    async def _jobs(self) -> Check:
        try:
            await self._store()
        except Exception as error:
            remedy = "See that the disk of ~/.rbee (or RBEE_HOME) has room and that its files are yours."
            return Check(name="job store", status="fail", detail=f"takes nothing: {error}", remedy=remedy)
        return Check(name="job store", status="ok", detail="can be written")
