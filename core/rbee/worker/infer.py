"""The worker's own inference route: the events of a streamed answer."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from rbee.contract.errors import RbeeError
from rbee.contract.wire import InferAnswer
from rbee.worker.face import InferDelta


async def as_events(
    deltas: AsyncGenerator[InferDelta], request_id: str, model_id: str
) -> AsyncGenerator[dict[str, Any]]:
    """The events of a streamed answer, exactly one of them terminal.  Errors before the first delta are raised."""
    started = time.perf_counter()
    iterator = aiter(deltas)
    first = await anext(iterator, InferDelta())
    yield {"type": "started", "job_id": request_id, "model": model_id, "started_at": int(time.time())}
    index, last = 0, first
    try:
        while True:
            if last.text:
                yield {"type": "token", "t": last.text, "i": index}
                index += 1
            if last.stop_reason is not None:
                break
            last = await anext(iterator)
    except StopAsyncIteration:
        yield {"type": "error", "code": "WORKER_FAILED", "message": "The engine ended its answer without a reason."}
        return
    except RbeeError as error:
        yield {"type": "error", "code": error.code, "message": error.message}
        return
    seconds = time.perf_counter() - started
    tokens = last.tokens if last.tokens is not None else index
    yield {"type": "metrics", "tokens_per_sec": round(tokens / seconds, 1) if seconds > 0 else None, "vram_bytes": None}
    yield {
        "type": "end",
        "tokens_out": tokens,
        "decode_time_ms": int(seconds * 1000),
        "stop_reason": last.stop_reason,
    }


async def as_whole(deltas: AsyncGenerator[InferDelta]) -> InferAnswer:
    """The whole answer."""
    started = time.perf_counter()
    text: list[str] = []
    last = InferDelta()
    async for last in deltas:
        text.append(last.text)
    return InferAnswer(
        text="".join(text),
        tokens_generated=last.tokens,
        duration_ms=int((time.perf_counter() - started) * 1000),
        stop_reason=last.stop_reason or "ERROR",
    )


def encode(event: dict[str, Any]) -> bytes:
    """One event as JSON."""
    return msgspec.json.encode(event)
