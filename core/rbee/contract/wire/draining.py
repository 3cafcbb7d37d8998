"""Taking workers and hives out of work: what they answer."""

from __future__ import annotations

import msgspec


class WorkerDrain(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that was told to take no more requests, or to take them again.

    Attributes:
        worker_id: identity.
        state: the worker's now; ``draining`` while it takes none, ``starting`` or ``loading`` when it will take none
            once it has loaded.
        open_requests: requests that it still answers; None when it could not be asked.
        error: why it could not be asked.
    """

    worker_id: str
    state: str
    open_requests: int | None = None
    error: str | None = None


class HiveDrain(msgspec.Struct, frozen=True, kw_only=True):
    """A hive that was told to take no more work, or to take it again.

    Attributes:
        hive_id: identity.
        operational_status: ``draining`` while it starts no workers, else ``ready``.
        workers: each of its workers.
    """

    hive_id: str
    operational_status: str
    workers: tuple[WorkerDrain, ...] = ()
