"""Operations on engines: what can be had, what is here, install, remove."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rbee.catalog import WorkerCatalog, WorkerListing
from rbee.contract.wire import WorkerCatalogGet
from rbee.contract.worker_vendor import WorkerOffer
from rbee.hive.operations.processes import flags
from rbee.hive.operations.starting import ACTOR
from rbee.hive.supervisor import Supervisor
from rbee.jobs import JobHandler, Narrator, parse

if TYPE_CHECKING:
    from rbee.hive.service import HiveService


class EngineOperations:
    """Handlers for the engines of one hive.

    Args:
        hive: whose; it looks for engines anew after each change.
        catalog: of all worker vendors.
        supervisor: which engines are in use.
    """

    def __init__(self, hive: HiveService, catalog: WorkerCatalog, supervisor: Supervisor) -> None:
        self._hive = hive
        self._catalog = catalog
        self._supervisor = supervisor

    def handlers(self) -> Mapping[str, JobHandler]:
        """By name."""
        return {
            "worker_catalog_list": self.worker_catalog_list,
            "worker_catalog_get": self.worker_catalog_get,
            "worker_list_installed": self.worker_list_installed,
            "worker_installed_get": self.worker_installed_get,
            "worker_install": self.worker_install,
            "worker_remove": self.worker_remove,
        }

    async def worker_catalog_list(self, _body: dict[str, Any], _say: Narrator) -> WorkerListing:
        """Every engine that is here or can be had."""
        return await self._catalog.list()

    async def worker_catalog_get(self, body: dict[str, Any], _say: Narrator) -> WorkerOffer:
        """One engine that is here or can be had."""
        wanted = parse(body, WorkerCatalogGet)
        return await self._catalog.get(wanted.worker, wanted.vendor)

    async def worker_list_installed(self, _body: dict[str, Any], _say: Narrator) -> WorkerListing:
        """Every engine that is here."""
        return await self._catalog.list(installed=True)

    async def worker_installed_get(self, body: dict[str, Any], _say: Narrator) -> WorkerOffer:
        """One engine that is here."""
        wanted = parse(body, WorkerCatalogGet)
        return await self._catalog.get(wanted.worker, wanted.vendor, installed=True)

    async def worker_install(self, body: dict[str, Any], say: Narrator) -> WorkerOffer:
        """Put an engine on this machine."""
        wanted = parse(body, WorkerCatalogGet)
        say.say(ACTOR, "worker_install", f"Installing {wanted.worker}", wanted.worker)
        try:
            offer = await self._catalog.install(
                wanted.worker,
                wanted.vendor,
                lambda line: say.say("installer", "worker_install", line, wanted.worker),
                lambda done, total: say.progress("worker_install", done, total),
                wanted.package,
            )
        finally:
            # Also after a failure: half of it may be there now, or nothing of what was.
            await self._hive.look_for_engines()
        can = "can be used" if offer.available else f"cannot be used yet: {offer.reason}"
        say.say(ACTOR, "worker_install", f"{offer.worker} is installed and {can}", offer.worker)
        return offer

    async def worker_remove(self, body: dict[str, Any], say: Narrator) -> WorkerOffer:
        """Take an engine off this machine."""
        wanted = parse(body, WorkerCatalogGet)
        try:
            offer = await self._catalog.remove(
                wanted.worker,
                wanted.vendor,
                self._running,
                lambda line: say.say("installer", "worker_remove", line, wanted.worker),
            )
        finally:
            await self._hive.look_for_engines()
        say.say(ACTOR, "worker_remove", f"{offer.worker} is removed", offer.worker)
        return offer

    def _running(self, engines: frozenset[str]) -> list[str]:
        """Workers that run one of the engines, or may: one whose command line cannot be read stands in the way."""
        children = self._supervisor.children()
        return [one.worker_id for one in children if flags(one.pid).get("engine") in {None, *engines}]
