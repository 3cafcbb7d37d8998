"""What hives and workers tell the queen, and the stream in which she passes it on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from datetime import datetime

import msgspec

from rbee.contract.errors import InvalidRequestError
from rbee.contract.joining import check_aggregate, check_worker_beat
from rbee.contract.types import WorkerState
from rbee.contract.wire import (
    AggregateHeartbeat,
    HiveHeartbeat,
    NodeStats,
    ProcessStats,
    Registration,
    WorkerHeartbeat,
)
from rbee.queen.broadcast import Broadcast
from rbee.queen.clocks import HiveClocks
from rbee.queen.introductions import Introductions
from rbee.telemetry import TelemetryRegistry
from rbee.telemetry.aggregate import process_stats

_SUMMARY_S = 2.5
_SUMMARY = ""
"""Its subject among those of the hives, whose ids are never empty."""


class Reports:
    """Takes in what is told, and tells those who read the queen's own stream.

    Args:
        telemetry: into which all of it goes.
        introductions: of those who are new.
        clocks: of the hives.
        on_hive: told each beat of a hive that was taken.
        summary: of the colony, as a JSON line.
        on_crash: told the model, the hive and the words where a worker that served has crashed.
    """

    def __init__(
        self,
        telemetry: TelemetryRegistry,
        introductions: Introductions,
        clocks: HiveClocks,
        on_hive: Callable[[HiveHeartbeat], None],
        summary: Callable[[], bytes],
        on_crash: Callable[[str, str, str], None],
        on_end: Callable[[str], None],
    ) -> None:
        self._on_end = on_end
        self._telemetry = telemetry
        self._introductions = introductions
        self._clocks = clocks
        self._on_hive = on_hive
        self._summary = summary
        self._on_crash = on_crash
        self._stream = Broadcast()

    def close(self) -> None:
        """End all streams."""
        self._stream.close()

    def register_worker(self, registration: Registration) -> bool:
        """The fast path and the ready callback; True when the worker was not known.

        Raises:
            InvalidRequestError: no id, no address, or a field is out of bounds.
        """
        return self._introductions.worker(registration)

    def register_hive(self, registration: Registration) -> None:
        """The fast path for a hive.

        Raises:
            InvalidRequestError: no id, no address, or a field is out of bounds.
        """
        self._introductions.hive(registration)

    def beat_worker(self, beat: WorkerHeartbeat) -> bool:
        """A worker's heartbeat; False when it was late.

        Raises:
            InvalidRequestError: its status is no state, or a field is out of bounds.
        """
        check_worker_beat(beat.worker)
        try:
            WorkerState.parse(beat.worker.status)
        except ValueError as error:
            raise InvalidRequestError(f"Worker status {beat.worker.status!r} is no state.", param="status") from error
        return self._telemetry.beat_worker(beat.worker)

    def beat_hive(self, beat: HiveHeartbeat) -> bool:
        """A hive's heartbeat with telemetry, pushed or from its stream; False when it was late.

        Raises:
            ConflictError: another hive goes by this id.
            InvalidRequestError: a field is out of bounds.
        """
        taken = self._introductions.beat(beat)
        if taken:
            self._on_hive(beat)
            self._clocks.heard(beat.hive.id, beat.timestamp)
            self._pass_on(beat.hive.id, beat.timestamp, beat.workers, beat.node)
        return taken

    def beat_aggregate(self, beat: AggregateHeartbeat) -> bool:
        """A hive's heartbeat in the aggregate form, in which it speaks for its workers; False when it was late.

        Raises:
            InvalidRequestError: a field is out of bounds.
        """
        check_aggregate(beat)
        dated = self._clocks.may_be_right(beat.hive_id, beat.timestamp)
        taken = self._telemetry.update_aggregate(beat, dated=dated)
        if taken:
            self._clocks.heard(beat.hive_id, beat.timestamp)
            self._pass_on(beat.hive_id, beat.timestamp, tuple(process_stats(worker) for worker in beat.workers), None)
        return taken

    def set_state(self, worker_id: str, state: str) -> bool:
        """A state told about a worker; False when it is not known.

        Raises:
            InvalidRequestError: no such state.
        """
        try:
            return self._telemetry.set_state(worker_id, WorkerState.parse(state))
        except ValueError as error:
            raise InvalidRequestError(f"{state!r} is no state of a worker.", param="state") from error

    def remove_worker(
        self, worker_id: str, instance_id: str | None = None, pid: int | None = None, crashed: str | None = None
    ) -> None:
        """A worker is gone; harmless when it is not known.

        Args:
            worker_id: which.
            instance_id: of the process that is gone; None for whichever has the id.
            pid: the same, as the hive knows it.
            crashed: how its process ended, where nobody wanted that; None when somebody did, or it is not known.
        """
        entry = self._telemetry.get_worker(worker_id)
        if entry is None:
            return
        # Late news of a process must not hit the one that was started under its id meanwhile.
        known = ((entry.instance_id, instance_id), (entry.pid, pid))
        if all(None in pair or pair[0] == pair[1] for pair in known):
            self._telemetry.remove_worker(worker_id)
            if instance_id is not None or pid is not None:
                # Whoever names no process may be mistaken: a worker that lives is heard again with its next beat.
                self._on_end(worker_id)
            if crashed is not None and entry.model_id is not None and entry.hive_id is not None:
                self._on_crash(entry.model_id, entry.hive_id, f"worker {worker_id!r} crashed: {crashed}")

    async def heartbeats(self) -> AsyncGenerator[bytes]:
        """Telemetry of all hives as it comes, and a summary every few seconds, as JSON lines."""
        yield self._summary()
        async with contextlib.aclosing(self._stream.listen()) as lines:
            async for line in lines:
                yield line

    async def summarise(self) -> None:
        """Send the summary every few seconds to whoever reads."""
        while True:
            await asyncio.sleep(_SUMMARY_S)
            if self._stream.listeners:
                self._stream.send(_SUMMARY, self._summary())

    def _pass_on(
        self, hive_id: str, timestamp: datetime, workers: tuple[ProcessStats, ...], node: NodeStats | None
    ) -> None:
        """Telemetry to those who read the queen's own stream."""
        if self._stream.listeners:
            line = {
                "type": "hive_telemetry",
                "hive_id": hive_id,
                "timestamp": timestamp,
                "workers": workers,
                "node": node,
            }
            self._stream.send(hive_id, msgspec.json.encode(line))
