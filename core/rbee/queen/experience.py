"""What the queen learns from her requests and from her machines, kept over restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from rbee.clients import keep_running
from rbee.contract.wire import RequestRecord
from rbee.queen.held import HeldIndex
from rbee.queen.history import History
from rbee.queen.ledger import Ledger
from rbee.queen.needs import Needs
from rbee.queen.past_speeds import PastSpeeds
from rbee.telemetry import TelemetryRegistry

_KEEP_S = 60.0


class Experience:
    """Who was asked, how quick it was, and what memory it took.

    Args:
        home: folder of the files.
        telemetry: the colony.
        held: what lies on the disks.
        clock: seconds that never go back, the colony's.

    Attributes:
        history: of requests, and speeds.
        ledger: of memory.
    """

    def __init__(self, home: Path, telemetry: TelemetryRegistry, held: HeldIndex, clock: Callable[[], float]) -> None:
        self._telemetry = telemetry
        self._past_speeds = PastSpeeds(home / "speeds.db")
        self.history = History(clock, telemetry.worker_seen_at, self._past_speeds.of)
        self.ledger = Ledger(home / "memory.db", telemetry.get_worker, Needs(held).of)

    async def open(self) -> None:
        """Read what was learned before.

        Raises:
            ConfigurationError: a file cannot be opened.
        """
        await self._past_speeds.open()
        await self.ledger.open()

    async def close(self) -> None:
        """Write what is not written yet."""
        await self._past_speeds.keep(self.history.rates.collect())
        await self._past_speeds.close()
        await self.ledger.close()

    def tasks(self) -> list[asyncio.Task[None]]:
        """What has to run as long as the queen does."""
        return [
            asyncio.create_task(keep_running("the speeds of workers", self._keep_speeds), name="speeds"),
            asyncio.create_task(keep_running("the memory ledger", self.ledger.run), name="memory ledger"),
        ]

    def finished(self, record: RequestRecord) -> None:
        """A request has ended."""
        entry = None if record.worker_id is None else self._telemetry.get_worker(record.worker_id)
        if entry is not None:
            self.history.finished(entry, record)
        if record.hive_id is not None and record.worker_id is not None and record.prompt_tokens is not None:
            tokens = record.prompt_tokens + (record.completion_tokens or 0)
            self.ledger.served(record.hive_id, record.worker_id, tokens)

    def forget(self, worker: Callable[[str], bool], hive: Callable[[str], bool]) -> None:
        """Drop what is of use no more: of workers and hives that are not known."""
        self.history.forget(worker)
        self.ledger.forget_hives(hive)

    async def _keep_speeds(self) -> None:
        while True:
            await asyncio.sleep(_KEEP_S)
            await self._past_speeds.keep(self.history.rates.collect())
