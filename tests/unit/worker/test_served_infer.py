"""A server's stream of events, as the worker's own route tells it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from rbee.contract.errors import WorkerFailedError
from rbee.worker.face import InferDelta
from rbee.worker.served_infer import deltas_of


async def stream(*events: Any) -> AsyncIterator[bytes]:
    for event in events:
        yield f"data: {json.dumps(event)}\n\n".encode()
    yield b"data: [DONE]\n\n"


def chunk(text: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}, "finish_reason": finish}], **more}


async def test_a_server_that_says_with_each_event_that_nothing_went_wrong_is_believed() -> None:
    usage = {"completion_tokens": 2}
    events = stream(chunk("a", error=None), chunk("b", "length", error=None), {"choices": [], "usage": usage})
    assert [delta async for delta in deltas_of(events)] == [
        InferDelta(text="a"),
        InferDelta(text="b"),
        InferDelta(stop_reason="MAX_TOKENS", tokens=2),
    ]


@pytest.mark.parametrize("error", ["out of memory", {"message": "out of memory", "code": 500}])
async def test_a_failure_within_the_stream_ends_it_with_the_servers_words(error: Any) -> None:
    with pytest.raises(WorkerFailedError, match="out of memory"):
        _ = [delta async for delta in deltas_of(stream(chunk("a"), {"error": error}))]
