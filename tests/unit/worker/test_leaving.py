"""Work that is for one client."""

from __future__ import annotations

import asyncio

import pytest
from rbee.contract.errors import CancelledByCallerError, ConflictError
from rbee.worker.leaving import unless_gone


class Client:
    def __init__(self):
        self.gone = asyncio.Event()

    async def receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}


class Work:
    def __init__(self):
        self.begun, self.cancelled = asyncio.Event(), False

    async def forever(self):
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def test_what_the_work_comes_to_is_returned_or_raised():
    async def done():
        return 5

    async def fails():
        raise ConflictError("no")

    assert await unless_gone(Client().receive, done()) == 5
    with pytest.raises(ConflictError):
        await unless_gone(Client().receive, fails())


async def test_a_client_that_leaves_ends_the_work():
    client, work = Client(), Work()
    waiting = asyncio.create_task(unless_gone(client.receive, work.forever()))
    await work.begun.wait()
    client.gone.set()
    with pytest.raises(CancelledByCallerError):
        await waiting
    assert work.cancelled


async def test_a_caller_that_is_cancelled_ends_the_work():
    client, work = Client(), Work()
    waiting = asyncio.create_task(unless_gone(client.receive, work.forever()))
    await work.begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.cancelled
