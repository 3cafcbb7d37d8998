"""Taken out of work, and into it again."""

from __future__ import annotations

import contextlib

from rbee.conformance.checks import ANSWERS, BrokenPromiseError, Check, NotAskedError, require
from rbee.conformance.subject import Subject
from rbee.conformance.worker.asking import HELLO, has_text, of_type
from rbee.contract.errors import WorkerNotReadyError
from rbee.contract.wire import WorkerDrain
from rbee.contract.wire.worker_api import ErrorEnvelope


async def _refuses(subject: Subject) -> None:
    try:
        told = (await subject.http.ask("POST", "/v1/drain")).read(WorkerDrain)
        require(told.state.lower() == "draining", f"POST /v1/drain: state is {told.state!r}, not 'draining'")
        require(told.open_requests == 0, f"POST /v1/drain: open_requests is {told.open_requests} while nobody asks")
        answer = await subject.http.ask("POST", "/v1/infer", subject.infer(HELLO, stream=False))
        error = answer.read(ErrorEnvelope, status=503).error
        require(error.code == WorkerNotReadyError.code, f"{answer}; {WorkerNotReadyError.code} was expected")
        after = answer.headers.get("retry-after", "")
        require(after.isdigit(), f"{answer} has the Retry-After {after!r}; seconds were expected")
        path, body = subject.long_openai(max_tokens=1)
        answer = await subject.http.ask("POST", path, body)
        require(answer.status == 503, f"{answer} while draining; 503 was expected")
        ready = await subject.http.ask("GET", "/ready")
        require(ready.status == 503, f"{ready} while draining; 503 was expected")
        alive = await subject.http.ask("GET", "/health")
        require(alive.status == 200, f"{alive} while draining; 200 was expected")
    finally:
        told = (await subject.http.ask("DELETE", "/v1/drain")).read(WorkerDrain)
    require(told.state.lower() in {"ready", "busy"}, f"DELETE /v1/drain: state is {told.state!r}, not 'ready'")
    answer = await subject.http.ask("POST", "/v1/infer", subject.infer(HELLO, stream=False))
    require(answer.status == 200, f"{answer} after DELETE /v1/drain; 200 was expected")


async def _finishes(subject: Subject) -> None:
    async with (
        subject.http.stream("/v1/infer", {**subject.long_infer(), "stream": True}) as stream,
        contextlib.aclosing(stream.events()) as events,
    ):
        async for event in events:
            if has_text(event):
                break
        else:
            raise NotAskedError("the model's answer has no text")
        try:
            told = (await subject.http.ask("POST", "/v1/drain")).read(WorkerDrain)
            again = (await subject.http.ask("POST", "/v1/drain")).read(WorkerDrain)
            require(told.state.lower() == "draining", f"POST /v1/drain: state is {told.state!r}, not 'draining'")
            rest = [event async for event in events]
        finally:
            await subject.http.ask("DELETE", "/v1/drain")
    require(
        again.open_requests is None or (told.open_requests or 0) >= again.open_requests,
        f"POST /v1/drain: open_requests rose from {told.open_requests} to {again.open_requests}",
    )
    ends = of_type(rest, "end")
    if not ends:
        raise BrokenPromiseError(f"the answer under way ended with {str(rest[-1:])[:120]} when the worker was drained")
    reason = ends[0].get("stop_reason")
    require(reason not in {"CANCELLED", "ERROR"}, f"the answer under way was cut by draining: {reason}")


CHECKS = (
    Check(
        id="W-DRAIN-1",
        promise="A draining worker refuses new requests with 503 and Retry-After until it is told to resume.",
        run=_refuses,
        needs=ANSWERS,
    ),
    Check(
        id="W-DRAIN-2",
        promise="A draining worker finishes the answers under way.",
        run=_finishes,
        needs=ANSWERS,
    ),
)
