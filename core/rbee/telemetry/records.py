"""What the queen holds of a worker and of a hive."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from rbee.contract.types import Device, EngineInfo, WorkerState
from rbee.contract.wire import HiveInfo, NodeStats, ProcessStats

Voice = Literal["registration", "worker", "hive"]
"""Who told a worker's model and state: its registration, its own heartbeat, or a hive's aggregate heartbeat."""


class WorkerEntry(msgspec.Struct, kw_only=True):
    """One worker, merged from three sources.  When each of them last spoke is known to the `WorkerTable` alone.

    Attributes:
        worker_id: identity.
        serves_since: when it first had its model loaded, by the registry's clock; None before.
        voice: who told its model and state; None when a hive has only measured its process.
        heard_at: when its hive last heard of it, by the hive's clock; of the aggregate form.
        health: the hive's word on it; of the aggregate form.
        sample: the newest measurement; None when there is none or the process has ended.
        sampled_by: which hive measured it.
        rival_hive: another hive that measures another process under this id; None when there is none.
        rival_at: when it last did.
        vram_free_mb: left on its GPU when it was measured; None when unknown.
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
    voice: Voice | None = None
    heard_at: datetime | None = None
    health: str | None = None
    sample: ProcessStats | None = None
    sampled_by: str | None = None
    rival_hive: str | None = None
    rival_at: float | None = None
    vram_free_mb: int | None = None
    serves_since: float | None = None
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

    @property
    def idle(self) -> bool:
        """True when it has its model loaded and no slot is in use or reserved, as far as is known."""
        return self.state is WorkerState.READY and self.reserved == 0 and self.external == 0


class HiveRecord(msgspec.Struct, kw_only=True):
    """One hive; `devices`, `engines`, `node` and `worker_ids` stay None until it has told them.

    Attributes:
        hive_id: identity.
        url: address at which the queen reaches it.
        info: its own words, of the contract form.
        devices: its processors.
        engines: what its workers can run.
        node: its machine's figures.
        instance_id: of the process that speaks.
        superseded: instance before this one, whose late beats are ignored.
        superseded_at: when this one took its place.
        rival: what that earlier instance says of itself, when it goes on beating: two hives go by one id.
        rival_at: when it last did.
        seq: of the newest beat of `instance_id`.
        aggregate_at: timestamp of the newest beat in the aggregate form.
        worker_ids: workers it measured at its last beat.
    """

    hive_id: str
    url: str | None = None
    info: HiveInfo | None = None
    devices: tuple[Device, ...] | None = None
    engines: tuple[EngineInfo, ...] | None = None
    node: NodeStats | None = None
    instance_id: str | None = None
    superseded: str | None = None
    superseded_at: float | None = None
    rival: HiveInfo | None = None
    rival_at: float | None = None
    seq: int | None = None
    aggregate_at: datetime | None = None
    worker_ids: frozenset[str] | None = None
