"""From memory to the store: events of jobs, their ends after them, and the forgetting of old jobs."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from rbee.contract.errors import UnavailableError

if TYPE_CHECKING:
    from rbee.jobs.later import JobStoreLater
    from rbee.jobs.store import JobRow, JobStore

log = logging.getLogger(__name__)

_FLUSH_S = 0.05
_RETRY_S = 2.0
_PRUNE_S = 60.0
_MOST_UNWRITTEN = 20_000
_MOST_UNENTERED = 1_000


class Row(NamedTuple):
    """An event that is to be stored."""

    job_id: str
    seq: int
    body: bytes
    terminal: bool


class End(NamedTuple):
    """The last state of a job."""

    state: str
    code: str | None
    message: str | None


class Writer:
    """Writes what it is given, a little later and again when the store did not take it.

    Args:
        store: open while this runs.
        keep: how long ended jobs are remembered.
        keep_ended: how many of them at most.

    Attributes:
        unentered: jobs that the store has not taken, as they are now, by id.
    """

    def __init__(self, store: JobStore | JobStoreLater, keep: timedelta, keep_ended: int) -> None:
        self._store = store
        self._keep = keep
        self._keep_ended = keep_ended
        self._rows: list[Row] = []
        self._ends: dict[str, End] = {}
        self.unentered: dict[str, JobRow] = {}
        self._lock = asyncio.Lock()
        self._stopping = False

    async def begin(self, job_id: str, operation: str, request: bytes, correlation_id: str | None) -> None:
        """Enter a job now, or later where the store takes nothing: what frees a full disk is a job as well.

        Raises:
            UnavailableError: very many jobs were not entered already.
        """
        # Imported with the first job: it is what reads and writes tables.
        from rbee.jobs.store import queued

        row = queued(job_id, operation, request, correlation_id)
        try:
            await self._store.enter(row)
        except UnavailableError as error:
            if len(self.unentered) >= _MOST_UNENTERED:
                raise
            log.warning("job %s (%s) runs, and is not stored yet: %s", job_id, operation, error.message)
            self.unentered[job_id] = row

    async def running(self, job_id: str) -> None:
        """Note that a job runs; where the store takes nothing, its end will tell."""
        row = self.unentered.get(job_id)
        if row is not None:
            row.state, row.started_at = "running", datetime.now(UTC)
            return
        try:
            await self._store.set_state(job_id, "running")
        except UnavailableError as error:
            log.warning("job %s runs, and that is not stored: %s", job_id, error.message)

    def add(self, row: Row) -> None:
        """Take an event."""
        self._rows.append(row)
        if len(self._rows) > _MOST_UNWRITTEN:
            self._shorten()

    async def end(self, job_id: str, end: End) -> None:
        """Write a job's end now, or later when the store does not take it."""
        self._ends[job_id] = end
        row = self.unentered.get(job_id)
        if row is not None:
            row.state, row.error_code, row.error_message = end
            row.finished_at = datetime.now(UTC)
        try:
            await self.flush()
        except UnavailableError as error:
            log.warning("the end of job %s could not be stored yet: %s", job_id, error.message)
        except Exception:
            log.exception("the end of job %s could not be stored yet", job_id)

    async def flush(self) -> None:
        """Write everything that is there.

        Raises:
            Exception: as the store raises; nothing is lost by it.
        """
        async with self._lock:
            rows, self._rows = self._rows, []
            try:
                for job_id, entry in list(self.unentered.items()):
                    await self._store.enter(entry)
                    del self.unentered[job_id]
                    if entry.finished_at is not None:
                        # It has been entered with its end, and with the time of that.
                        self._ends.pop(job_id, None)
                ends = dict(self._ends)
                if rows:
                    await self._store.append([(row.job_id, row.seq, row.body) for row in rows])
            except BaseException:
                # Tried again; what had reached the disk nevertheless is only written over.
                self._rows[:0] = rows
                raise
            for job_id, end in ends.items():
                await self._store.set_state(job_id, end.state, code=end.code, message=end.message)
                self._ends.pop(job_id, None)

    async def prune(self) -> None:
        """Forget what is too old or too much."""
        await self._store.prune(datetime.now(UTC) - self._keep, self._keep_ended)

    def stop(self) -> None:
        """Let `run` end.  It is not cancelled: a write that is broken off may have reached the disk or not."""
        self._stopping = True

    async def run(self) -> None:
        """Write and forget until stopped."""
        now = asyncio.get_running_loop().time
        due, pruned = now(), now()
        failing = False
        while not self._stopping:
            await asyncio.sleep(_FLUSH_S)
            if now() < due:
                continue
            try:
                await self.flush()
                if now() - pruned >= _PRUNE_S:
                    pruned = now()
                    await self.prune()
            except Exception:
                if not failing:
                    log.exception("events of jobs could not be stored; trying again every %.0f s", _RETRY_S)
                failing, due = True, now() + _RETRY_S
            else:
                if failing:
                    log.info("events of jobs are stored again")
                failing = False

    def _shorten(self) -> None:
        """A store that takes nothing must not cost the program's memory: the oldest stories go, their ends last."""
        ends = [row for row in self._rows if row.terminal][-_MOST_UNWRITTEN // 2 :]
        others = [row for row in self._rows if not row.terminal][-_MOST_UNWRITTEN // 4 :]
        lost = len(self._rows) - len(ends) - len(others)
        log.error("the store of jobs takes nothing: %d events that were not stored are given up", lost)
        self._rows = sorted(ends + others, key=lambda row: (row.job_id, row.seq))
