"""The voice of a job."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from rbee.contract.wire import JobEvent

_MIN_INTERVAL_S = 0.1


def narration(actor: str, action: str, human: str, target: str | None = None, job_id: str = "") -> JobEvent:
    """One sentence as an event, for who tells it to another job's narrator to be relayed."""
    return JobEvent(
        type="narration",
        job_id=job_id,
        emitted_at_ms=int(time.time() * 1000),
        actor=actor,
        action=action,
        target=target,
        human=human,
        formatted=_formatted(actor, action, human),
    )


class Narrator:
    """Tells what a job does: sentences, progress, data.

    Args:
        job_id: the job.
        correlation_id: of the request that started it.
        emit: takes each event; must not block.
        resumed: how often the job was begun again after a restart of the program.
        told: sentences of its earlier lives: one that comes again from elsewhere is not told twice.
    """

    def __init__(
        self,
        job_id: str,
        correlation_id: str | None,
        emit: Callable[[JobEvent], None],
        resumed: int = 0,
        told: Iterable[JobEvent] = (),
    ) -> None:
        self.job_id = job_id
        self.correlation_id = correlation_id
        self.resumed = resumed
        self._told = {_sentence(event) for event in told if event.type == "narration"}
        self._emit = emit
        self._progress_started: dict[str, tuple[float, int]] = {}
        self._progress_told: dict[str, float] = {}

    def say(self, actor: str, action: str, human: str, target: str | None = None) -> None:
        """One sentence for a person."""
        self._send(
            "narration",
            actor=actor,
            action=action,
            target=target,
            human=human,
            formatted=_formatted(actor, action, human),
        )

    def progress(
        self,
        action: str,
        done: int,
        total: int | None,
        unit: str = "bytes",
        *,
        item: int | None = None,
        items: int | None = None,
    ) -> None:
        """How far something is; told at most ten times a second, the last step always.

        Args:
            action: what is done.
            done: units done, those of an earlier try included.
            total: units in all, None when unknown.
            unit: of both.
            item: number of the file, or the like, that is under way, from 1.
            items: how many there are.
        """
        now = time.monotonic()
        # What was there at the first word has come before: it says nothing of how quick this is.
        started, before = self._progress_started.setdefault(action, (now, done))
        complete = total is not None and done >= total
        if not complete and now - self._progress_told.get(action, 0.0) < _MIN_INTERVAL_S:
            return
        self._progress_told[action] = now
        elapsed = now - started
        rate = (done - before) / elapsed if elapsed > 0 and done > before else None
        eta = (total - done) / rate if rate and total is not None else None
        self._send(
            "progress",
            action=action,
            done=done,
            total=total,
            unit=unit,
            rate=round(rate, 1) if rate else None,
            eta_s=round(eta, 1) if eta is not None else None,
            item=item,
            items=items,
        )

    def data(self, action: str, payload: Any) -> None:
        """A result, or a part of one, for a program."""
        self._send("data", action=action, payload=payload)

    def relay(self, event: JobEvent) -> None:
        """Pass on what a job elsewhere tells, as told here; its end is not this job's end."""
        if event.type == "narration" and _sentence(event) in self._told:
            self._told.discard(_sentence(event))
        elif not event.terminal:
            self._send(
                event.type,
                **{
                    name: getattr(event, name)
                    for name in event.__struct_fields__
                    if name not in {"type", "job_id", "emitted_at_ms", "correlation_id"}
                },
            )

    def end(self, kind: Any, **more: Any) -> None:
        """The one terminal event; for the runner."""
        self._send(kind, **more)

    def _send(self, kind: Any, **more: Any) -> None:
        self._emit(
            JobEvent(
                type=kind,
                job_id=self.job_id,
                correlation_id=self.correlation_id,
                emitted_at_ms=int(time.time() * 1000),
                **more,
            )
        )


def _sentence(event: JobEvent) -> tuple[str | None, ...]:
    return (event.actor, event.action, event.target, event.human)


def _formatted(actor: str, action: str, human: str) -> str:
    return f"[{actor:<10}] {action:<18}: {human}"
