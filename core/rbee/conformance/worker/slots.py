"""Slots: as many as told, no more are lost than are taken."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from rbee.conformance.checks import ANSWERS, Check, NotAskedError, require
from rbee.conformance.client import Answer
from rbee.conformance.subject import Subject
from rbee.conformance.worker.asking import HELLO, events_of, leave_after_first, of_type
from rbee.contract.wire.worker_api import ErrorEnvelope

_MOST = 8
_MORE = 3
_ABORTS = 9
_SLOW_S = 0.5
"""Answers that take less may come one after the other and look as if at once."""
_BEGUN_S = 0.02


async def _at_once(subject: Subject) -> None:
    count = min(subject.slots_total(), _MOST)
    times: list[tuple[float, float]] = []

    async def one() -> None:
        async with subject.http.stream("/v1/infer", {**subject.long_infer(), "stream": True}) as stream:
            events: list[Any] = []
            first: float | None = None
            async for event in stream.events():
                events.append(event)
                if first is None and isinstance(event, dict) and event.get("type") == "token":
                    first = time.monotonic()
        bad = of_type(events, "error")
        require(not bad, f"one of {count} requests at once ended with {str(bad)[:120]}")
        now = time.monotonic()
        times.append((now if first is None else first, now))

    await asyncio.gather(*(one() for _ in range(count)))
    last_start, first_end = max(start for start, _ in times), min(end for _, end in times)
    if last_start <= first_end:
        return
    if max(end - start for start, end in times) < _SLOW_S:
        raise NotAskedError("the model's answers are too short to be seen beside each other")
    require(False, f"of {count} requests for {subject.slots_total()} slots one began only after another had ended")


async def _beyond(subject: Subject) -> None:
    total = subject.slots_total()
    if total > _MOST:
        raise NotAskedError(f"the worker has {total} slots; more than {_MOST} are not filled for a check")
    body = {**subject.infer(HELLO), "stream": False}
    answers: list[Answer] = await asyncio.gather(
        *(subject.http.ask("POST", "/v1/infer", body) for _ in range(total + _MORE))
    )
    for answer in answers:
        if answer.status == 503:
            answer.read(ErrorEnvelope, status=503)
            after = answer.headers.get("retry-after", "")
            require(after.isdigit(), f"{answer} has the Retry-After {after!r}; seconds were expected")
        else:
            require(answer.status == 200, f"{answer} beyond {total} slots; 200 or 503 was expected")


async def _no_leak(subject: Subject) -> None:
    total = subject.slots_total()
    body = subject.long_infer()
    for number in range(_ABORTS):
        match number % 3:
            case 0:
                await leave_after_first(subject, "/v1/infer", body)
            case 1:
                await _give_up(subject, {**body, "stream": False})
            case _:
                await _give_up(subject, {**body, "stream": True})
    freed, left = await subject.all_free()
    require(
        freed,
        f"{left} of {total} slots are free {subject.limits.cancel_s:g} s after {_ABORTS} requests were given up",
    )


async def _give_up(subject: Subject, body: dict[str, Any]) -> None:
    """Send a request, and close the connection before the answer."""
    asking = asyncio.create_task(subject.http.ask("POST", "/v1/infer", body))
    await asyncio.wait([asking], timeout=_BEGUN_S)
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking


async def _after(subject: Subject) -> None:
    total = subject.slots_total()
    for _ in range(total + 1):
        events = await events_of(subject, "/v1/infer", subject.infer(HELLO))
        require(of_type(events, "started"), f"a request after the others got {str(events)[:120]}")
    freed, left = await subject.all_free()
    require(freed, f"{left} of {total} slots are free after requests that have ended")


CHECKS = (
    Check(
        id="W-SLOTS-1",
        promise="As many requests as there are slots are answered at the same time.",
        run=_at_once,
        needs=ANSWERS,
    ),
    Check(
        id="W-SLOTS-2",
        promise="More requests than slots wait, or get 503 with Retry-After.",
        run=_beyond,
        needs=ANSWERS,
    ),
    Check(
        id="W-SLOTS-3",
        promise="Answers that end free their slots.",
        run=_after,
        needs=ANSWERS,
    ),
    Check(
        id="W-SLOTS-4",
        promise="No slot is lost to requests that are given up, at whatever moment.",
        run=_no_leak,
        needs=ANSWERS,
    ),
)
