"""The queen's desk when a gate goes."""

from __future__ import annotations

import asyncio

from rbee.contract.wire import RequestRecord
from rbee.gates.messages import Ended
from rbee.gateway import Outcome, Route
from unit.gates.line import PATIENCE_S, Line

ROUTE = Route(request_id="req-1", path="/v1/embeddings", model="m", stream=False)


async def test_a_gate_that_dies_gives_back_what_it_had_and_waits_for_nothing(line: Line) -> None:
    await line.places.acquire(ROUTE)
    line.queen.free.clear()
    line.queen.asked.clear()
    waiting = asyncio.create_task(line.places.acquire(ROUTE))
    await asyncio.wait_for(line.queen.asked.wait(), PATIENCE_S)
    line.gate.close()
    await asyncio.wait_for(line.queen.leases[0].over.wait(), PATIENCE_S)
    await asyncio.wait_for(line.queen.left.wait(), PATIENCE_S)
    assert line.queen.leases[0].outcome == Outcome(reached=True)
    assert len(line.queen.leases) == 1
    await asyncio.gather(waiting, return_exceptions=True)


async def test_requests_that_a_gate_has_ended_are_observed_where_all_are(line: Line) -> None:
    record = RequestRecord(
        request_id="req-1", path="/v1/chat/completions", model="m", worker_id="w1", status=200, error_code=None,
        first_byte_s=0.1, duration_s=0.2, bytes_out=10, prompt_tokens=3, stream=True, attempts=2,
    )  # fmt: skip
    line.gate.send(Ended(record=record))
    # What is asked behind it is answered behind it.
    await line.places.acquire(ROUTE)
    assert line.records == [record]
