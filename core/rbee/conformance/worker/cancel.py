"""Cancelling, by request and by leaving."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from rbee.conformance.checks import ANSWERS, BrokenPromiseError, Check, NotAskedError, require
from rbee.conformance.subject import Subject
from rbee.conformance.worker.asking import DONE, first_text, has_text, of_type
from rbee.contract.errors import CancelledByCallerError, RequestTimeoutError

_TRIES = 3
_AT_ONCE_S = 0.5
"""An answer that ends by itself so soon after its cancellation proves nothing."""
_DEADLINE_MS = 200


def _too_quick() -> NotAskedError:
    return NotAskedError("the model's answers end by themselves before they can be cancelled")


async def _unknown(subject: Subject) -> None:
    for name in ("no-such-request", "no-such-request", "no:such.request_2"):
        answer = await subject.http.ask("DELETE", f"/v1/infer/{name}")
        require(answer.status == 204, f"{answer}; 204 was expected")
        require(not answer.body, f"{answer}, though 204 has no body")


async def _rest(subject: Subject, events: Any) -> list[Any]:
    """The events behind the cancellation, which has to end them."""
    rest: list[Any] = []
    try:
        async with asyncio.timeout(subject.limits.cancel_s):
            rest.extend([event async for event in events])
    except TimeoutError:
        raise BrokenPromiseError(f"the answer went on for {subject.limits.cancel_s:g} s after DELETE") from None
    return rest


async def _cancelled(subject: Subject, path: str, body: dict[str, Any], name: str) -> tuple[list[Any], float] | None:
    """What came of an answer after DELETE and how long that took; None when it had ended before."""
    headers = {"x-request-id": name}
    async with (
        subject.http.stream(path, {**body, "stream": True}, headers=headers) as stream,
        contextlib.aclosing(stream.events()) as events,
    ):
        async for event in events:
            if has_text(event):
                break
        else:
            return None
        answer = await subject.http.ask("DELETE", f"/v1/infer/{name}")
        require(answer.status == 204, f"{answer}; 204 was expected")
        started = time.monotonic()
        return await _rest(subject, events), time.monotonic() - started


async def _by_id(subject: Subject) -> None:
    for number in range(_TRIES):
        name = f"conformance-cancel-{number}"
        found = await _cancelled(subject, "/v1/infer", subject.long_infer(request_id=name), name)
        if found is None:
            continue
        rest, took = found
        last = of_type(rest, "end", "error")[-1:]
        if last and (last[0].get("stop_reason") == "CANCELLED" or last[0].get("code") == CancelledByCallerError.code):
            return
        require(took < _AT_ONCE_S, f"the answer went on for {took:.1f} s after DELETE and ended with {str(last)[:120]}")
    raise _too_quick()


async def _openai_by_id(subject: Subject) -> None:
    path, body = subject.long_openai()
    for number in range(_TRIES):
        found = await _cancelled(subject, path, body, f"conformance-openai-cancel-{number}")
        if found is None:
            continue
        rest, took = found
        if any(isinstance(one, dict) and one.get("error") for one in rest):
            return
        if DONE not in rest:
            return  # broken off, which clients notice as well
        require(took < _AT_ONCE_S, f"POST {path} went on for {took:.1f} s after DELETE, to its [DONE]")
    raise _too_quick()


async def _by_leaving(subject: Subject) -> None:
    subject.slots_total()
    paths = [("/v1/infer", subject.long_infer()), subject.long_openai()]
    for path, body in paths:
        async with subject.http.stream(path, {**body, "stream": True}) as stream:
            await first_text(stream.events())
        freed, left = await subject.all_free()
        require(
            freed,
            f"POST {path}: {left} of {subject.slots_total()} slots are free "
            f"{subject.limits.cancel_s:g} s after the client has left",
        )


async def _deadline(subject: Subject) -> None:
    path, body = subject.long_openai()
    wrong = await subject.http.ask("POST", path, body, headers={"x-request-deadline": "soon"})
    require(wrong.status == 400, f"{wrong} for the X-Request-Deadline 'soon'; 400 was expected")
    started = time.monotonic()
    answer = await subject.http.ask("POST", path, body, headers={"x-request-deadline": str(_DEADLINE_MS)})
    took = time.monotonic() - started
    if answer.status == 200 and took < _AT_ONCE_S:
        raise _too_quick()
    require(answer.status == 408, f"{answer} after {took:.1f} s, for a deadline of {_DEADLINE_MS} ms; 408 was expected")
    code = RequestTimeoutError.code.lower()
    require(code.encode() in answer.body.lower(), f"{answer}; the code {code!r} was expected")


CHECKS = (
    Check(
        id="W-CANCEL-1",
        promise="DELETE /v1/infer/{request_id} is 204 for an unknown id, again and again.",
        run=_unknown,
    ),
    Check(
        id="W-CANCEL-2",
        promise="DELETE ends a running /v1/infer within seconds, and its last event says so.",
        run=_by_id,
        needs=ANSWERS,
    ),
    Check(
        id="W-CANCEL-3",
        promise="DELETE ends a running OpenAI answer by its x-request-id within seconds.",
        run=_openai_by_id,
        needs=ANSWERS,
    ),
    Check(
        id="W-CANCEL-4",
        promise="A client that leaves frees its slot within seconds.",
        run=_by_leaving,
        needs=ANSWERS,
    ),
    Check(
        id="W-CANCEL-5",
        promise="X-Request-Deadline ends an OpenAI answer that takes longer, with 408.",
        run=_deadline,
        needs=ANSWERS,
    ),
)
