"""Which models stay, and for how long."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from rbee.queen.departures import Departures
from rbee.queen.keeping import Keeping, configured_keep_alive_s
from rbee.queen.standing import Standing, Standings
from rbee.queen.unloading import Unloading
from rbee.settings import Settings
from rbee.telemetry import TelemetryRegistry


class Residence:
    """Pins and keep-alives, and the stops that follow from them.

    Args:
        home: folder of the file.
        telemetry: the colony.
        departures: stop workers.
        settings: the colony's keep-alive.
        clock: the telemetry's.
        wanted: whether somebody waits for a slot at a worker of a model.

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
        departures: Departures,
        settings: Settings,
        clock: Callable[[], float],
        wanted: Callable[[str], bool],
    ) -> None:
        self._telemetry = telemetry
        self.standings = Standings(home / "standing.db")
        self.keeping = Keeping(
            telemetry, self.standings, configured_keep_alive_s(settings), clock, settings.queen.replica_idle_s, wanted
        )
        self._unloading = Unloading(self.keeping, departures)

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

    def request_ended(self, worker_id: str, keep_alive_s: float | None) -> None:
        """A request has said how long its worker stays."""
        self.keeping.said(worker_id, keep_alive_s)
        if keep_alive_s == 0:
            self._unloading.sweep_soon()

    async def stand(self, model_id: str, *, pin: bool, keep_alive_s: float | None) -> None:
        """Say something of a model that holds until something else is said.

        Args:
            model_id: canonical name.
            pin: it must stay; False leaves that as it is.
            keep_alive_s: how long it stays while idle, whatever requests have said before; None leaves that as it is.
        """
        before = self.standings.of(model_id) or Standing(model_id=model_id)
        kept = before.keep_alive_s if keep_alive_s is None else keep_alive_s
        await self.standings.put(Standing(model_id=model_id, pinned=pin or before.pinned, keep_alive_s=kept))
        if keep_alive_s is not None:
            for entry in self._telemetry.find_workers_by_model(model_id):
                self.keeping.unsaid(entry.worker_id)

    def expire(self, model_ids: Iterable[str]) -> None:
        """Have models unloaded as soon as nobody asks them, by canonical name."""
        for model_id in model_ids:
            for entry in self._telemetry.find_workers_by_model(model_id):
                self.keeping.said(entry.worker_id, 0.0)
        self._unloading.sweep_soon()

    def sweep(self, known: Callable[[str], bool]) -> None:
        """Begin to stop those whose time is over.

        Args:
            known: whether there is a worker of that id.
        """
        self.keeping.forget(known)
        self._unloading.sweep()
