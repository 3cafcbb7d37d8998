"""Which models stay, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rbee.contract.types import WorkerState
from rbee.queen.hives import Hives
from rbee.queen.keeping import Keeping, configured_keep_alive_s
from rbee.queen.standing import Standings
from rbee.queen.unloading import Unloading
from rbee.settings import Settings
from rbee.telemetry import TelemetryRegistry


class Residence:
    """Pins and keep-alives, and the stops that follow from them.

    Args:
        home: folder of the file.
        telemetry: the colony.
        hives: stop workers.
        settings: the colony's keep-alive.
        clock: the telemetry's.

    Attributes:
        standings: what was said of models.
        keeping: how long each worker stays.

    Raises:
        ConfigurationError: the setting is no span of time.
    """

    def __init__(
        self,
        home: Path,
        telemetry: TelemetryRegistry,
        hives: Hives,
        settings: Settings,
        clock: Callable[[], float],
    ) -> None:
        self._telemetry = telemetry
        self.standings = Standings(home / "standing.db")
        self.keeping = Keeping(
            telemetry, self.standings, configured_keep_alive_s(settings), clock, settings.queen.replica_idle_s
        )
        self._unloading = Unloading(self.keeping, hives, self.claim, telemetry.remove_worker, self._serves_again)

    async def open(self) -> None:
        """Read what was said before.

        Raises:
            ConfigurationError: the file cannot be opened.
        """
        await self.standings.open()

    async def close(self) -> None:
        """Stop nobody more."""
        await self._unloading.close()
        await self.standings.close()

    def claim(self, worker_id: str) -> bool:
        """Take an idle worker out of routing, to be stopped; False when it is in use."""
        entry = self._telemetry.get_worker(worker_id)
        if entry is None or entry.reserved:
            return entry is None
        return self._telemetry.set_state(worker_id, WorkerState.DRAINING)

    def request_ended(self, worker_id: str, keep_alive_s: float | None) -> None:
        """A request has said how long its worker stays."""
        self.keeping.said(worker_id, keep_alive_s)
        if keep_alive_s == 0:
            self._unloading.sweep_soon()

    def sweep(self, known: Callable[[str], bool]) -> None:
        """Begin to stop those whose time is over.

        Args:
            known: whether there is a worker of that id.
        """
        self.keeping.forget(known)
        self._unloading.sweep()

    def _serves_again(self, worker_id: str) -> None:
        entry = self._telemetry.get_worker(worker_id)
        if entry is not None and entry.state is WorkerState.DRAINING:
            self._telemetry.set_state(worker_id, WorkerState.READY)
