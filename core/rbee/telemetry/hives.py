"""The hives: what each told last, and which of them beat."""

from __future__ import annotations

from collections.abc import Callable

from rbee.contract.wire import AggregateHeartbeat, HiveHeartbeat, HiveInfo
from rbee.telemetry.aggregate import aware
from rbee.telemetry.heartbeats import HeartbeatRegistry
from rbee.telemetry.judgement import Limits
from rbee.telemetry.records import HiveRecord


class HiveTable:
    """Owner of the hive records.

    Args:
        clock: seconds that never go back.
        limits: ages that decide presence.
    """

    def __init__(self, clock: Callable[[], float], limits: Limits) -> None:
        self._clock = clock
        self._down_s = limits.hive_down_s
        self._cleanup_s = limits.cleanup_s
        self.beats: HeartbeatRegistry[HiveRecord] = HeartbeatRegistry(clock, limits.hive_down_s, _accepts)

    def introduce(self, hive_id: str, url: str | None, instance_id: str | None) -> HiveRecord:
        """A registration or a discovery; a late one of a superseded instance changes nothing."""
        record = self._record(hive_id)
        if self._is_current(record, instance_id):
            record.url = url or record.url
            self.beats.update(hive_id, record)
        return record

    def touch(self, hive_id: str) -> HiveRecord:
        """A sign of life without words."""
        record = self._record(hive_id)
        self.beats.update(hive_id, record)
        return record

    def beat(self, beat: HiveHeartbeat) -> HiveRecord | None:
        """The hive's own words; None when they are late or replayed, or a rival's.

        A beat of the instance before is late when it comes soon.  When it comes long after, both live: two hives go
        by one id.  The one that came last is heard; the other one again as soon as that is silent.
        """
        hive = beat.hive
        record = self._record(hive.id)
        if record.rival is not None and hive.instance_id == record.superseded and not self.beats.is_online(hive.id):
            record.superseded = None
        if not self._is_current(record, hive.instance_id):
            if record.superseded_at is not None and self._clock() - record.superseded_at >= self._down_s:
                record.rival, record.rival_at = hive, self._clock()
            return None
        # One that does not name its instance and has been silent may have been started anew.
        counts = hive.instance_id is not None or self.beats.is_online(hive.id)
        if counts and hive.seq is not None and record.seq is not None and hive.seq <= record.seq:
            return None
        record.info, record.seq = hive, hive.seq
        record.url = hive.url or record.url
        record.devices = beat.capabilities if beat.capabilities is not None else record.devices
        record.engines = beat.engines if beat.engines is not None else record.engines
        record.node = beat.node if beat.node is not None else record.node
        self.beats.update(hive.id, record)
        return record

    def aggregate(self, beat: AggregateHeartbeat, *, dated: bool = True) -> HiveRecord | None:
        """A beat of the aggregate form, which has neither instance nor number; None when it is late or replayed.

        Late is what is not younger than the beat before, as long as the hive is online.  One that has been silent is
        heard whatever its time: its clock may have been set back.  One whose time cannot be right (`dated`) is never
        late, and makes no other one late.
        """
        record = self._record(beat.hive_id)
        if dated:
            told = aware(beat.timestamp)
            if record.aggregate_at is not None and told <= record.aggregate_at and self.beats.is_online(beat.hive_id):
                return None
            record.aggregate_at = told
        self.beats.update(beat.hive_id, record)
        return record

    def rival(self, hive_id: str) -> HiveInfo | None:
        """See `TelemetryRegistry.rival`."""
        record = self.beats.get(hive_id)
        if record is None or record.rival_at is None or self._clock() - record.rival_at >= self._cleanup_s:
            return None
        return record.rival

    def cleanup(self) -> list[str]:
        """Forget hives that have long been silent; returns their ids."""
        return self.beats.cleanup_stale(self._cleanup_s)

    def _record(self, hive_id: str) -> HiveRecord:
        return self.beats.get(hive_id) or HiveRecord(hive_id=hive_id)

    def _is_current(self, record: HiveRecord, instance_id: str | None) -> bool:
        """Note the instance that speaks; False for a word of the one before it."""
        if instance_id is None or instance_id == record.instance_id:
            return True
        if instance_id == record.superseded:
            return False
        record.superseded, record.instance_id, record.seq = record.instance_id, instance_id, None
        record.superseded_at, record.rival, record.rival_at = self._clock(), None, None
        return True


def _accepts(record: HiveRecord) -> bool:
    return record.info is None or record.info.operational_status == "ready"
