"""The store of a program that may never have a job: see `storage.Later`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rbee.storage.later import Later

if TYPE_CHECKING:
    from rbee.jobs.store import JobRow, JobStore


class JobStoreLater:
    """What `JobStore` does, over a file that is made with the first job.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        def make() -> JobStore:
            from rbee.jobs.store import JobStore

            return JobStore.at(path)

        self._later = Later(path, make)

    async def open(self) -> None:
        """Open what an earlier life has left, a damaged file set aside; raises as `Store.open`."""
        await self._later.left(lambda store: store.newest(1))

    async def ready(self) -> None:
        """Open it, made if there was none; raises as `Store.open`."""
        await self._later.made()

    async def close(self) -> None:
        """See `Store.close`."""
        await self._later.close()

    async def add(self, job_id: str, operation: str, request: bytes, correlation_id: str | None) -> None:
        """See `JobStore.add`."""
        await (await self._later.made()).add(job_id, operation, request, correlation_id)

    async def enter(self, row: JobRow) -> None:
        """See `JobStore.enter`."""
        await (await self._later.made()).enter(row)

    async def set_state(self, job_id: str, state: str, *, code: str | None = None, message: str | None = None) -> None:
        """See `JobStore.set_state`."""
        await (await self._later.made()).set_state(job_id, state, code=code, message=message)

    async def append(self, rows: Sequence[tuple[str, int, bytes]]) -> None:
        """See `JobStore.append`."""
        await (await self._later.made()).append(rows)

    async def note_resumed(self, job_id: str) -> None:
        """See `JobStore.note_resumed`."""
        await (await self._later.made()).note_resumed(job_id)

    async def get(self, job_id: str) -> JobRow | None:
        """See `JobStore.get`."""
        store = await self._later.present()
        return None if store is None else await store.get(job_id)

    async def newest(self, limit: int = 100, states: Sequence[str] = ()) -> list[JobRow]:
        """See `JobStore.newest`."""
        store = await self._later.present()
        return [] if store is None else await store.newest(limit, states)

    async def events(self, job_id: str, after: int, limit: int = 500) -> list[tuple[int, bytes]]:
        """See `JobStore.events`."""
        store = await self._later.present()
        return [] if store is None else await store.events(job_id, after, limit)

    async def last_events(self, job_id: str, limit: int = 200) -> list[tuple[int, bytes]]:
        """See `JobStore.last_events`."""
        store = await self._later.present()
        return [] if store is None else await store.last_events(job_id, limit)

    async def last_seq(self, job_id: str) -> int:
        """See `JobStore.last_seq`."""
        store = await self._later.present()
        return 0 if store is None else await store.last_seq(job_id)

    async def unfinished(self) -> list[JobRow]:
        """See `JobStore.unfinished`."""
        store = await self._later.present()
        return [] if store is None else await store.unfinished()

    async def prune(self, older_than: datetime, keep: int | None = None) -> None:
        """See `JobStore.prune`."""
        store = await self._later.present()
        if store is not None:
            await store.prune(older_than, keep)
