"""Places that a gate has from the queen, over a real line to her desk."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rbee.contract.errors import ModelNotFoundError, UnavailableError
from rbee.gateway import Outcome, Queued, Route
from unit.gates.line import PATIENCE_S, HeldLease, Line


def route(**more: Any) -> Route:
    return Route(request_id="req-1", path="/v1/chat/completions", model="m", stream=True, **more)


async def within(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), PATIENCE_S)


async def test_a_place_is_the_queens_with_the_token_for_its_worker(line: Line) -> None:
    lease = await line.places.acquire(route(trusted=True, tried=frozenset({"w9"}), continues=True))
    assert (lease.worker_id, lease.model_id, lease.hive_id) == ("w0", "demo/m", "h1")
    assert lease.reason == "it is the first"
    assert (lease.target.host, lease.target.port) == ("127.0.0.1", 9)
    assert lease.target.headers == ((b"authorization", b"Bearer secret"),)
    asked = line.queen.routes[0]
    assert (asked.model, asked.path, asked.stream, asked.trusted) == ("m", "/v1/chat/completions", True, True)
    assert (asked.continues, asked.tried, asked.request_id) == (True, frozenset({"w9"}), "req-1")


async def test_how_many_are_with_the_worker_already_is_told_to_the_gate(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await line.places.acquire(route())).beside is None
    monkeypatch.setattr(HeldLease, "beside", 3)
    assert (await line.places.acquire(route())).beside == 3


async def test_the_queen_hears_how_it_ended(line: Line) -> None:
    outcome = Outcome(reached=True, first_byte_s=0.5, status=200)
    (await line.places.acquire(route())).finish(outcome)
    await within(line.queen.leases[0].over)
    assert line.queen.leases[0].outcome == outcome


async def test_who_waits_hears_its_place_and_gets_the_next_that_is_free(line: Line) -> None:
    line.queen.free.clear()
    positions: list[Queued] = []
    told = asyncio.Event()

    def waits(queued: Queued) -> None:
        positions.append(queued)
        told.set()

    asking = asyncio.create_task(line.places.acquire(route(on_wait=waits)))
    await within(told)
    line.queen.free.set()
    lease = await asyncio.wait_for(asking, PATIENCE_S)
    assert (positions, lease.worker_id) == ([Queued(3, 1.5)], "w0")


async def test_who_does_not_wait_hears_at_once_that_none_is_free(line: Line) -> None:
    line.queen.free.clear()
    assert await line.places.acquire_free(route()) is None
    line.queen.free.set()
    found = await line.places.acquire_free(route())
    assert found is not None
    assert found.worker_id == "w0"


async def test_a_refusal_is_the_queens(line: Line) -> None:
    line.queen.error = ModelNotFoundError("There is no model 'm'.")
    with pytest.raises(ModelNotFoundError, match="There is no model 'm'"):
        await line.places.acquire(route())


async def test_a_fault_of_the_queens_is_told_without_its_inside(line: Line, caplog: pytest.LogCaptureFixture) -> None:
    line.queen.error = KeyError("private")
    with pytest.raises(Exception, match="her log has the details") as caught:
        await line.places.acquire(route())
    assert "private" not in str(caught.value)
    assert "private" in caplog.text


async def test_who_gives_up_while_it_waits_waits_no_more_at_the_queen(line: Line) -> None:
    line.queen.free.clear()
    asking = asyncio.create_task(line.places.acquire(route()))
    await within(line.queen.asked)
    asking.cancel()
    await within(line.queen.left)
    assert not line.queen.leases


async def test_a_place_that_comes_to_one_that_has_given_up_goes_back(line: Line) -> None:
    asking = asyncio.create_task(line.places.acquire(route()))
    await within(line.queen.asked)
    # It has been given at the queen's end, and this end has not read it.
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await within(line.queen.leases[0].over)
    assert line.queen.leases[0].outcome == Outcome(reached=True)


async def test_one_is_told_once_that_its_worker_is_lost(line: Line) -> None:
    lease = await line.places.acquire(route())
    lost = asyncio.Event()
    lease.watch(lost.set)
    assert line.queen.leases[0].lost is not None
    line.queen.leases[0].lost()
    await within(lost)
    lease.finish(Outcome(reached=False))
    await within(line.queen.leases[0].over)
    # Late news of it mean nobody any more.
    line.queen.leases[0].lost()
    assert (await line.places.acquire(route())).worker_id == "w1"


async def test_without_the_queen_nobody_gets_a_place_and_who_has_one_keeps_it(line: Line) -> None:
    held = await line.places.acquire(route())
    line.queen.free.clear()
    asking = asyncio.create_task(line.places.acquire(route()))
    line.queen.asked.clear()
    await within(line.queen.asked)
    line.hers.close()
    await within(line.cut)
    with pytest.raises(UnavailableError, match="queen has stopped"):
        await asking
    with pytest.raises(UnavailableError, match="queen has stopped"):
        await line.places.acquire(route())
    held.finish(Outcome(reached=True, status=200))


async def test_more_targets_than_are_kept_are_made_anew(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rbee.gates.places._TARGETS_KEPT", 1)
    first = await line.places.acquire(route())
    line.queen.target = type(line.queen.target)(host="127.0.0.2", port=10)
    second = await line.places.acquire(route())
    assert (first.target.host, second.target.host, second.target.port) == ("127.0.0.1", "127.0.0.2", 10)
