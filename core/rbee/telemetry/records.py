"""What the queen holds of a worker and of a hive."""

from __future__ import annotations

import msgspec

from rbee.contract.types import Device, EngineInfo, WorkerState
from rbee.contract.wire import HiveInfo, NodeStats, ProcessStats


class WorkerEntry(msgspec.Struct, kw_only=True):
    """One worker, merged from three sources; times are of the registry's clock.

    Attributes:
        worker_id: identity.
        registered_at: when a registration last came.
        beat_at: when the worker itself last spoke (registration counts until its first beat).
        sampled_at: when a hive last measured it.
        sampled_by: which hive that was.
        seq: of the newest beat of `instance_id`.
        reserved: requests that the queen has sent there and that have not ended.
        external: slots in use by others than the queen, as of the last beat.
        ended_at: when the queen's last requests there ended.
        last_used_at: when the queen last sent a request there.
        latency_s: moving average of the time to the first byte.
        superseded: instance before this one, whose late beats are ignored.
        failed_at: when a connection to it last broke; None once it has spoken again.
    """

    worker_id: str
    url: str | None = None
    model_id: str | None = None
    model_name: str | None = None
    implementation: str | None = None
    version: str | None = None
    hive_id: str | None = None
    device: str | None = None
    backend: str | None = None
    state: WorkerState = WorkerState.STARTING
    slots_total: int | None = None
    slots_available: int | None = None
    queue_depth: int | None = None
    tokens_per_second: float | None = None
    context_length: int | None = None
    capabilities: tuple[str, ...] | None = None
    spawned_by: str | None = None
    instance_id: str | None = None
    seq: int | None = None
    stage: str | None = None
    pid: int | None = None
    sample: ProcessStats | None = None
    registered_at: float | None = None
    beat_at: float | None = None
    sampled_at: float | None = None
    sampled_by: str | None = None
    superseded: str | None = None
    reserved: int = 0
    external: int = 0
    ended_at: tuple[float, ...] = ()
    last_used_at: float | None = None
    latency_s: float | None = None
    failed_at: float | None = None

    @property
    def slots_free(self) -> int | None:
        """Slots free by the last beat, less what was sent since; None while the worker has not told."""
        if self.slots_total is None:
            return None
        return max(0, self.slots_total - self.reserved - self.external)


class HiveRecord(msgspec.Struct, kw_only=True):
    """One hive; `devices`, `engines` and `node` stay None until it has told them."""

    hive_id: str
    url: str | None = None
    info: HiveInfo | None = None
    devices: tuple[Device, ...] | None = None
    engines: tuple[EngineInfo, ...] | None = None
    node: NodeStats | None = None
    instance_id: str | None = None
    superseded: str | None = None
    seq: int | None = None
    worker_ids: frozenset[str] = frozenset()
