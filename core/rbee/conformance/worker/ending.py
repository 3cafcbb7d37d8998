"""The worker's end, looked at only where it is wanted."""

from __future__ import annotations

import asyncio
import contextlib

import httpx2

from rbee.conformance.checks import Check, NotAskedError, require
from rbee.conformance.client import Http
from rbee.conformance.subject import Subject
from rbee.conformance.worker.asking import HELLO, has_text, of_type
from rbee.contract.wire.worker_api import WorkerAcknowledged

_POLL_S = 0.05
_TWICE_S = 0.3
_ANSWER_S = 5.0


def _may_end(subject: Subject) -> None:
    if not subject.may_end:
        raise NotAskedError("it would end the worker; --shutdown asks for it")


async def _shut_down(subject: Subject) -> None:
    answer = await subject.http.ask("POST", "/v1/shutdown")
    subject.ending = True
    answer.read(WorkerAcknowledged, status=202)


async def _finishes(subject: Subject) -> None:
    _may_end(subject)
    async with (
        subject.http.stream("/v1/infer", {**subject.long_infer(), "stream": True}) as stream,
        contextlib.aclosing(stream.events()) as events,
    ):
        async for event in events:
            if has_text(event):
                break
        await _shut_down(subject)
        rest = [event async for event in events]
    ends = of_type(rest, "end")
    reason = ends[0].get("stop_reason") if ends else None
    require(
        reason not in {None, "CANCELLED", "ERROR"},
        f"the answer under way ended with {str(rest[-1:])[:120]} when the worker was shut down",
    )


async def _gone(subject: Subject) -> None:
    _may_end(subject)
    if not subject.ending:
        await _shut_down(subject)
    while await _listens(subject):  # noqa: ASYNC110  # the worker is asked
        await asyncio.sleep(_POLL_S)
    await asyncio.sleep(_TWICE_S)
    require(not await _listens(subject), "somebody listens again after the worker has ended")


async def _listens(subject: Subject) -> bool:
    """Whether a new connection is taken; an answer to a request is a broken promise."""
    fresh = Http(subject.http.url, subject.http.token, _ANSWER_S)
    try:
        answer = await fresh.ask("POST", "/v1/infer", subject.infer(HELLO, stream=False))
    except httpx2.ConnectError:
        return False
    except httpx2.HTTPError:
        return True  # cut off in the middle of its end
    finally:
        await fresh.close()
    require(answer.status >= 400, f"{answer} after the shutdown was acknowledged; nothing may be answered")
    return True


CHECKS = (
    Check(
        id="W-END-1",
        promise="POST /v1/shutdown is 202, and the answer under way is finished.",
        run=_finishes,
    ),
    Check(
        id="W-END-2",
        promise="After a shutdown nothing is answered any more, and soon nobody listens.",
        run=_gone,
    ),
)
