"""The colony as `rbee top` sees it: the queen's lists, kept fresh by what her stream tells in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from rbee.contract.errors import UnreachableError
from rbee.contract.types import Device
from rbee.contract.wire import NodeStats, ProcessStats, WorkerRecord


class HiveRow(msgspec.Struct, frozen=True, kw_only=True):
    """A hive as the queen tells of it in ``GET /v1/info``."""

    hive_id: str
    url: str | None = None
    online: bool | None = None
    health: str | None = None
    operational_status: str | None = None
    age_s: float | None = None
    devices: tuple[Device, ...] | None = None
    node: NodeStats | None = None
    threads_total: int | None = None
    threads_free: int | None = None
    threads_granted: int | None = None


class Colony(msgspec.Struct, frozen=True, kw_only=True):
    """The queen's answer to ``GET /v1/info``, as far as it is shown."""

    url: str
    version: str | None = None
    uptime_s: int | None = None
    hives: tuple[HiveRow, ...] = ()


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the queen's stream, of either type."""

    type: str
    hive_id: str | None = None
    workers: tuple[ProcessStats, ...] = ()
    node: NodeStats | None = None
    worker_ids: tuple[str, ...] = ()
    hive_ids: tuple[str, ...] = ()


class LiveColony:
    """Merges lists and stream.  Times are seconds of any one clock, passed in."""

    def __init__(self) -> None:
        self.colony: Colony | None = None
        self.away_since: float | None = None
        """Since when the queen has not answered; None while she does."""
        self.why_away = ""
        self._hives: dict[str, tuple[HiveRow, float]] = {}
        self._workers: dict[str, tuple[WorkerRecord, float]] = {}

    @property
    def known(self) -> frozenset[str]:
        """Ids of the workers that the queen has listed."""
        return frozenset(self._workers)

    def listed(self, info: Mapping[str, Any], workers: Sequence[WorkerRecord], now: float) -> None:
        """The queen's own lists, which replace everything.

        Raises:
            UnreachableError: `info` is something else.
        """
        try:
            self.colony = msgspec.convert(info, Colony)
        except msgspec.ValidationError as error:
            raise UnreachableError(f"The queen answered GET /v1/info with something else: {error}") from error
        self._hives = {hive.hive_id: (hive, now) for hive in self.colony.hives}
        self._workers = {worker.worker_id: (worker, now) for worker in workers}
        self.away_since = None

    def told(self, line: str | bytes, now: float) -> bool:
        """A line of the stream; True when it speaks of what the lists do not have, which should be asked for.

        Raises:
            UnreachableError: it is no line of the stream.
        """
        try:
            found = msgspec.json.decode(line, type=_Line)
        except msgspec.DecodeError as error:
            raise UnreachableError(f"The queen's stream told something else than expected: {error}") from error
        self.away_since = None
        if found.type == "queen":
            return bool(set(found.worker_ids) - self.known or set(found.hive_ids) - set(self._hives))
        if found.type != "hive_telemetry" or found.hive_id is None:
            return False
        if found.hive_id not in self._hives:
            return True
        hive, _ = self._hives[found.hive_id]
        fresh = msgspec.structs.replace(hive, node=found.node or hive.node, online=True, health="healthy", age_s=0.0)
        self._hives[found.hive_id] = (fresh, now)
        for stats in found.workers:
            if stats.worker_id is not None and stats.worker_id in self._workers:
                self._measured(stats.worker_id, stats, now)
        return not {one.worker_id for one in found.workers if one.worker_id is not None} <= self.known

    def away(self, why: str, now: float) -> None:
        """The queen does not answer; what was known stays, and grows old."""
        if self.away_since is None:
            self.away_since = now
        self.why_away = why

    def hives(self, now: float) -> list[HiveRow]:
        """By id, with their ages now."""
        return [
            msgspec.structs.replace(hive, age_s=_older(hive.age_s, now - at))
            for _, (hive, at) in sorted(self._hives.items())
        ]

    def workers(self, now: float) -> list[WorkerRecord]:
        """By id, with their ages now."""
        return [
            msgspec.structs.replace(
                worker,
                heartbeat_age_s=_older(worker.heartbeat_age_s, now - at),
                telemetry_age_s=_older(worker.telemetry_age_s, now - at),
                uptime_s=None if worker.uptime_s is None else worker.uptime_s + int(now - at),
            )
            for _, (worker, at) in sorted(self._workers.items())
        ]

    def _measured(self, worker_id: str, stats: ProcessStats, now: float) -> None:
        worker, at = self._workers[worker_id]
        fresh = msgspec.structs.replace(
            worker,
            pid=stats.pid,
            cpu_pct=stats.cpu_pct,
            rss_mb=stats.rss_mb,
            vram_mb=stats.vram_mb,
            gpu_pct=stats.gpu_util_pct,
            uptime_s=stats.uptime_s,
            telemetry_age_s=0.0,
            # Its beats are not in this stream: they have grown older meanwhile.
            heartbeat_age_s=_older(worker.heartbeat_age_s, now - at),
        )
        self._workers[worker_id] = (fresh, now)


def _older(age: float | None, by: float) -> float | None:
    return None if age is None else round(age + by, 3)
