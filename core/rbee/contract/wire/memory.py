"""What workers were seen to need of memory: told by the queen to whoever starts the next one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

_Name = Annotated[str, Meta(max_length=4096)]
_Bytes = Annotated[int, Meta(ge=0, lt=1 << 60)]
_Difference = Annotated[int, Meta(gt=-(1 << 60), lt=1 << 60)]


class LearnedMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What the workers of one model, engine and way of driving a device have needed on one machine.

    Attributes:
        model_id: canonical name.
        engine: its name.
        backend: how the device was driven.
        hive_id: the machine.
        reserve_bytes: to be added to an estimate; below 0 where that is too much.
        basis_bytes: what was estimated beside the weights when a reserve below 0 was learned.
        peak_bytes: the most that the last worker used of its device's memory; of the machine's, what was resident,
            pages of mapped files included.
        estimate_bytes: what had been estimated for that worker, without any reserve; None when nothing could be.
        context_length: tokens a slot that it had; None when unknown.
        slots: requests at the same time, likewise.
        observed_at: when its peak last rose.
        engine_version: of the engine from which it was learned; None when no worker has told it.
    """

    model_id: _Name
    engine: _Name
    backend: _Name
    hive_id: _Name
    reserve_bytes: _Difference
    basis_bytes: _Bytes
    peak_bytes: _Bytes
    estimate_bytes: _Bytes | None
    context_length: int | None
    slots: int | None
    observed_at: datetime
    engine_version: _Name | None = None


class MemoryLedger(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /v1/memory``.

    Attributes:
        learned: what was seen, the newest first.
    """

    learned: tuple[LearnedMemory, ...]
