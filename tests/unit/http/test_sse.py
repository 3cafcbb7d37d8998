"""Server-sent events with comments in between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest
from rbee.http.sse import PING, with_pings


class Source:
    def __init__(self, *events: bytes, error: Exception | None = None, endless: bool = False) -> None:
        self.events, self.error, self.endless = events, error, endless
        self.closed = asyncio.Event()

    async def run(self) -> AsyncGenerator[bytes]:
        try:
            for event in self.events:
                yield event
            if self.error:
                raise self.error
            while self.endless:
                await asyncio.sleep(60)
        finally:
            self.closed.set()


async def test_events_come_as_they_are_in_order_to_their_end() -> None:
    source = Source(b"1", b"2", b"3")
    assert [one async for one in with_pings(source.run())] == [b"1", b"2", b"3"]
    assert source.closed.is_set()


async def test_silence_is_filled_with_comments() -> None:
    source = Source(b"1", endless=True)
    async with asyncio.timeout(10), contextlib.aclosing(with_pings(source.run(), 0.01)) as stream:
        assert [await anext(stream) for _ in range(4)] == [b"1", PING, PING, PING]
    assert source.closed.is_set()


async def test_an_error_ends_the_stream_as_it_is() -> None:
    source = Source(b"1", error=LookupError("forgotten"))
    with pytest.raises(LookupError, match="forgotten"):
        [one async for one in with_pings(source.run())]
    assert source.closed.is_set()


@pytest.mark.parametrize("events", [(), (b"1",), (b"1",) * 5])
async def test_who_is_cancelled_again_and_again_leaves_nothing_open(events: tuple[bytes, ...]) -> None:
    source = Source(*events, endless=True)

    async def watch() -> None:
        async for _ in with_pings(source.run()):
            pass

    task = asyncio.create_task(watch())
    for _ in range(3 + 2 * len(events)):
        await asyncio.sleep(0)
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await source.closed.wait()
