"""Calls of vendors: how many at once, and what becomes of those that hang."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest
from rbee.catalog.vendor_calls import VendorCalls
from rbee.contract.errors import ModelNotFoundError, PluginError, UnreachableError


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


async def test_a_call_gives_what_the_function_gives() -> None:
    calls = VendorCalls()
    assert await calls.call("v", lambda: 7) == 7

    def missing() -> None:
        raise ModelNotFoundError("not here")

    with pytest.raises(ModelNotFoundError, match="not here"):
        await calls.call("v", missing)
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        await calls.call("v", lambda: 1 / 0)


async def test_others_wait_for_their_turn(gate: threading.Event) -> None:
    calls, begun = VendorCalls(at_once=2), []
    waiting = [asyncio.create_task(calls.call("v", lambda: begun.append(None) or gate.wait(60))) for _ in range(5)]
    await asyncio.sleep(0.05)
    assert len(begun) == 2
    gate.set()
    assert await asyncio.gather(*waiting) == [True] * 5


async def test_a_call_that_hangs_keeps_its_place_and_takes_none_of_another_vendor(gate: threading.Event) -> None:
    calls = VendorCalls(at_once=1)
    with pytest.raises(UnreachableError, match="'slow'"):
        await calls.call("slow", lambda: gate.wait(60), within_s=0.05)
    with pytest.raises(UnreachableError, match="'slow'"):
        await calls.call("slow", lambda: 1, within_s=0.05)
    assert await calls.call("quick", lambda: 2) == 2
    gate.set()
    assert await calls.call("slow", lambda: 1) == 1


async def test_one_who_leaves_does_not_wait_for_the_thread(gate: threading.Event) -> None:
    calls = VendorCalls()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await calls.call("v", lambda: gate.wait(60))
    assert time.monotonic() - began < 10
