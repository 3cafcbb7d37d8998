"""What of a job's events is written down: not the pieces of an answer, and of its progress one a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from rbee.contract.wire import JobEvent
from rbee.jobs.live import LiveJob, progress_of
from rbee.jobs.writer import Row, Writer

_PROGRESS_S = 1.0


class Recorder:
    """Takes each event of one job: into memory at once, and what is to outlive the program to the store.

    Of the progress of one thing, the store gets at most one event a second, and the last in any case.

    Args:
        job_id: of the job.
        live: the job in memory.
        writer: takes what is to be stored.
        observe: told every event.
    """

    def __init__(self, job_id: str, live: LiveJob, writer: Writer, observe: Callable[[JobEvent], None]) -> None:
        self._job_id = job_id
        self._live = live
        self._writer = writer
        self._observe = observe
        self._written: dict[object, float] = {}
        self._held: dict[object, Row] = {}

    def take(self, event: JobEvent) -> None:
        """One event; raises when it cannot be encoded, and then nobody is told."""
        # Encoded first: what cannot be stored is told to nobody, and its sender hears of it.
        body = msgspec.json.encode(event)
        row = Row(self._job_id, self._live.add(event), body, event.terminal)
        if event.type == "progress":
            self._progress(event, row)
        elif not _is_answer(event):
            if event.terminal:
                for held in self._held.values():
                    self._writer.add(held)
                self._held.clear()
            self._writer.add(row)
        self._observe(event)

    def _progress(self, event: JobEvent, row: Row) -> None:
        subject, now = progress_of(event), asyncio.get_running_loop().time()
        written = self._written.get(subject)
        if written is not None and now - written < _PROGRESS_S:
            self._held[subject] = row
            return
        self._held.pop(subject, None)
        self._written[subject] = now
        self._writer.add(row)


def _is_answer(event: JobEvent) -> bool:
    """Whether an event is a piece of an answer: the user's own, and one row each if it were stored."""
    return event.type == "data" and event.action == "token"
