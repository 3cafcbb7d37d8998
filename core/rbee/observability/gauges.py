"""What is true of the colony at this moment, as metrics tell it; asked when somebody looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

SILENT = "silent"
"""State of a worker that does not beat, whatever it was in before."""


class WorkerGauge(msgspec.Struct, frozen=True, kw_only=True):
    """A worker; what is unknown is None and left out.

    Attributes:
        worker_id: identity.
        hive_id: its machine.
        model_id: canonical name of its model.
        state: a `WorkerState`, or `SILENT`.
        slots_total: requests that it serves at the same time.
        slots_free: of these, free.
        memory_peak_bytes: the most that it has used of its device's memory.
        memory_estimate_bytes: what its model's figures said that it would.
    """

    worker_id: str
    hive_id: str | None
    model_id: str | None
    state: str
    slots_total: int | None
    slots_free: int | None
    memory_peak_bytes: int | None = None
    memory_estimate_bytes: int | None = None


class MemoryGauge(msgspec.Struct, frozen=True, kw_only=True):
    """Memory of one device of a hive, ``ram`` or the id of a GPU, in bytes."""

    hive_id: str
    device: str
    used_bytes: int | None
    total_bytes: int | None


class ColonyGauges(msgspec.Struct, frozen=True, kw_only=True):
    """The colony now.

    Attributes:
        running: requests with a worker, by canonical name of the model.
        waiting: requests that wait for a place, likewise.
        hives: whether each beats.
        workers: every one known.
        memory: of every device that has been measured.
        tunnels: machines that have an SSH tunnel, and whether it is open.
    """

    running: Mapping[str, int]
    waiting: Mapping[str, int]
    hives: Mapping[str, bool]
    workers: Sequence[WorkerGauge]
    memory: Sequence[MemoryGauge]
    tunnels: Mapping[str, bool] = {}
