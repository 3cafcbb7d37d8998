"""The worker's own inference route: the events of a streamed answer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from rbee.contract.wire import InferAnswer, utc_now
from rbee.http.errors import public_error
from rbee.worker.face import InferDelta


async def as_events(
    deltas: AsyncGenerator[InferDelta], request_id: str, model_id: str
) -> AsyncGenerator[dict[str, Any]]:
    """The events of a streamed answer, exactly one of them terminal.  Errors before the first delta are raised."""
    async with contextlib.aclosing(deltas):
        last = await anext(deltas, InferDelta())
        yield {"type": "started", "job_id": request_id, "model": model_id, "started_at": utc_now()}
        index, decode = 0, _Decode()
        try:
            while True:
                if last.text:
                    decode.heard()
                    yield {"type": "token", "t": last.text, "i": index}
                    index += 1
                if last.stop_reason is not None:
                    break
                last = await anext(deltas)
        except StopAsyncIteration:
            yield {"type": "error", "code": "WORKER_FAILED", "message": "The engine ended its answer without a reason."}
            return
        except Exception as error:
            told = public_error(error, where="/v1/infer")
            yield {"type": "error", "code": told.code, "message": told.message}
            return
    tokens = last.tokens if last.tokens is not None else index
    seconds = decode.seconds()
    yield {"type": "metrics", "tokens_per_sec": _rate(tokens, seconds), "vram_bytes": None}
    yield {
        "type": "end",
        "tokens_out": tokens,
        "decode_time_ms": None if seconds is None else int(seconds * 1000),
        "stop_reason": last.stop_reason,
    }


async def as_whole(deltas: AsyncGenerator[InferDelta]) -> InferAnswer:
    """The whole answer, also one that somebody ended: with the text so far."""
    started = time.perf_counter()
    text: list[str] = []
    last = InferDelta()
    async with contextlib.aclosing(deltas):
        async for last in deltas:
            text.append(last.text)
    return InferAnswer(
        text="".join(text),
        tokens_generated=last.tokens,
        duration_ms=int((time.perf_counter() - started) * 1000),
        stop_reason=last.stop_reason or "ERROR",
    )


class _Decode:
    """The time of decoding, which begins with the first token: what comes before is the prompt's and the queue's."""

    def __init__(self) -> None:
        self._first: float | None = None

    def heard(self) -> None:
        if self._first is None:
            self._first = time.perf_counter()

    def seconds(self) -> float | None:
        return None if self._first is None else time.perf_counter() - self._first


def _rate(tokens: int, seconds: float | None) -> float | None:
    """Tokens a second; None for fewer than two, between which no time passes."""
    if seconds is None or seconds <= 0 or tokens < 2:
        return None
    return round((tokens - 1) / seconds, 1)


def encode(event: dict[str, Any]) -> bytes:
    """One event as JSON."""
    return msgspec.json.encode(event)
