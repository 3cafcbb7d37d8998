"""Every operation of a hive, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rbee.catalog import ModelCatalog, Resolver, Searches, WorkerCatalog
from rbee.contract.errors import NotFoundError
from rbee.contract.wire import HIVE_OPERATIONS, ModelSearch, ModelsFound
from rbee.hive.operations.checks import HiveChecks
from rbee.hive.operations.choosing import Choosing
from rbee.hive.operations.engines import EngineOperations
from rbee.hive.operations.model_files import ModelFileOperations
from rbee.hive.operations.models import ModelOperations
from rbee.hive.operations.naming import Naming
from rbee.hive.operations.starting import Starting
from rbee.hive.operations.workers import WorkerOperations
from rbee.hive.supervisor import Supervisor
from rbee.jobs import JobHandler, Narrator, Operation, check_of, parse
from rbee.plugins import Plugins
from rbee.settings import Folders, Settings

if TYPE_CHECKING:
    from rbee.hive.peers import Peers
    from rbee.hive.reporter import Reporter
    from rbee.hive.service import HiveService


class Operations:
    """What the wire reference lists for a hive.

    Args:
        hive: whose operations.
        models: models that are here.
        engines: engines that are here or can be had.
        resolver: names to models.
        supervisor: its children.
        reporter: tells the queen.
        settings: of this program.
        folders: of this machine.
        plugins: for what they can say of the hardware.
        peers: other hives as sources of models.
    """

    def __init__(
        self,
        hive: HiveService,
        models: ModelCatalog,
        engines: WorkerCatalog,
        resolver: Resolver,
        supervisor: Supervisor,
        reporter: Reporter,
        settings: Settings,
        folders: Folders,
        plugins: Plugins,
        peers: Peers,
    ) -> None:
        self._hive = hive
        naming = Naming(models, resolver, supervisor, Choosing(hive, models, supervisor, settings))
        starting = Starting(hive, models, naming, supervisor, reporter, settings)
        self._searches = Searches(resolver)
        self._models = ModelOperations(hive, supervisor, starting, naming)
        self._files = ModelFileOperations(hive, models, supervisor, starting, naming, peers)
        self._workers = WorkerOperations(hive, supervisor, starting, settings)
        self._engines = EngineOperations(hive, engines, supervisor)
        self._checks = HiveChecks(hive, settings, folders, plugins)

    def operations(self) -> Mapping[str, Operation]:
        """All of them; nothing of it is begun again after a restart: the queen does that, whose jobs they are."""
        handlers: dict[str, JobHandler] = {
            **self._models.handlers(),
            **self._files.handlers(),
            **self._workers.handlers(),
            **self._engines.handlers(),
            "hive_check": self._checks.hive_check,
            "model_search": self.model_search,
        }
        return {
            name: Operation(handler=self._here(handler), request=HIVE_OPERATIONS[name], check=check_of(name))
            for name, handler in handlers.items()
        }

    async def model_search(self, body: dict[str, Any], say: Narrator) -> ModelsFound:
        """Models that a person may mean, from the vendors on this machine."""
        return await self._searches.search(
            parse(body, ModelSearch), lambda sentence, vendor: say.say("hive", "model_search", sentence, vendor)
        )

    def _here(self, handler: JobHandler) -> JobHandler:
        async def run(body: dict[str, Any], say: Narrator) -> Any:
            wanted = body.get("hive_id")
            if wanted not in {None, "localhost", self._hive.hive_id}:
                raise NotFoundError(
                    f"This is hive {self._hive.hive_id!r}, not {wanted!r}; ask the queen, who forwards by 'hive_id'."
                )
            return await handler(body, say)

        return run
