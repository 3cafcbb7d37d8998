"""Whether what a stopped worker held is free again, as its hive measures it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rbee.contract.devices import device_ids
from rbee.contract.wire import JobEvent, ProcessStats
from rbee.jobs import narration
from rbee.telemetry import TelemetryRegistry

log = logging.getLogger(__name__)

_PATIENCE_S = 5.0
_LOOK_S = 0.05
_SLACK_MB = 64
_SLACK = 0.1


class Footprint(NamedTuple):
    """What is known of a worker before it is stopped.

    Attributes:
        hive_id: where it is.
        worker_id: which.
        measured: its hive measures its process.
        gpu: id of the GPU whose memory it holds, of several with commas between; None for none, or when it is unknown.
        vram_mb: how much; None when unknown.
        strange_mb: in use on that GPU by others than workers; None when unknown.
    """

    hive_id: str
    worker_id: str
    measured: bool = False
    gpu: str | None = None
    vram_mb: int | None = None
    strange_mb: int | None = None

    @classmethod
    def of(cls, telemetry: TelemetryRegistry, hive_id: str, worker_id: str) -> Footprint:
        """As it was last measured."""
        entry, record = telemetry.get_worker(worker_id), telemetry.get_hive_state(hive_id)
        measured = record is not None and worker_id in (record.worker_ids or ())
        sample = None if entry is None else entry.sample
        if sample is None or sample.gpu is None:
            return cls(hive_id, worker_id, measured)
        strange = _strange_mb(telemetry, hive_id, sample.gpu)
        return cls(hive_id, worker_id, measured, sample.gpu, sample.vram_mb, strange)


async def until_released(
    telemetry: TelemetryRegistry, held: Footprint, tell: Callable[[JobEvent], None], patience_s: float = _PATIENCE_S
) -> None:
    """Return once a hive's figures show a worker gone, with what it held; or patience is over, which is told.

    What is decided or promised next is then made from memory that is truly free.  A hive that does not tell keeps
    nobody waiting for longer: it has the last word about a start anyway.

    On a GPU, memory may come back after its process has gone: what is in use there without a worker's being known to
    use it must not have grown by what this one had.  A machine's own memory comes back with the process, and how much
    of that is more than a page of a file that stays cached nobody can say.

    Args:
        telemetry: the colony.
        held: of the worker, before it was stopped.
        tell: given the word that patience is over.
        patience_s: seconds to wait at most.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    while (waited := loop.time() - began) < patience_s:
        record, age = telemetry.get_hive_state(held.hive_id), telemetry.hive_age(held.hive_id)
        if record is None or age is None:
            return
        # Figures that no longer have a process which they had are younger than its end.
        if (held.measured or age < waited) and _is_gone(telemetry, held):
            return
        # Beats come once a second and tell of themselves to the registry alone.
        await asyncio.sleep(_LOOK_S)
    human = f"Hive {held.hive_id} still measures what worker {held.worker_id} held, {patience_s:.0f} s after its stop"
    log.warning("%s", human)
    tell(narration("queen", "release", human, held.worker_id))


def _is_gone(telemetry: TelemetryRegistry, held: Footprint) -> bool:
    record = telemetry.get_hive_state(held.hive_id)
    if record is None:
        return True
    promises = () if record.info is None else record.info.memory
    if held.worker_id in (record.worker_ids or ()) or any(held.worker_id in one.workers for one in promises):
        return False
    if held.gpu is None or held.vram_mb is None or held.strange_mb is None:
        return True
    strange = _strange_mb(telemetry, held.hive_id, held.gpu)
    return strange is None or strange - held.strange_mb <= _SLACK_MB + held.vram_mb * _SLACK


def _strange_mb(telemetry: TelemetryRegistry, hive_id: str, gpu: str) -> int | None:
    """Memory of a GPU, or several, that is in use without a worker's being known to use it; None when unknown."""
    ids = device_ids(gpu)
    record = telemetry.get_hive_state(hive_id)
    gpus = () if record is None or record.node is None else record.node.gpus
    used = [one.vram_used_mb for one in gpus if one.id in ids and one.vram_used_mb is not None]
    if not ids or len(used) < len(ids):
        return None
    samples = [entry.sample for entry in telemetry.get_workers_on_hive(hive_id) if entry.sample is not None]
    return sum(used) - sum(_used_there(sample, ids) for sample in samples)


def _used_there(sample: ProcessStats, ids: Sequence[str]) -> int:
    if sample.vram_by_gpu_mb is not None:
        return sum(used for gpu, used in sample.vram_by_gpu_mb.items() if gpu in ids)
    own = device_ids(sample.gpu)
    return sample.vram_mb or 0 if own and all(one in ids for one in own) else 0
