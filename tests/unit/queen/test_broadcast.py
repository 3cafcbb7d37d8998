"""One voice to many."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from rbee.queen.broadcast import Broadcast


async def rest(lines: AsyncGenerator[bytes]) -> list[bytes]:
    async with asyncio.timeout(10), contextlib.aclosing(lines):
        return [line async for line in lines]


async def listening(voice: Broadcast) -> asyncio.Task[list[bytes]]:
    task = asyncio.create_task(rest(voice.listen()))
    await asyncio.sleep(0)
    assert voice.listeners
    return task


async def test_a_thousand_who_speak_in_one_instant_are_all_heard() -> None:
    voice = Broadcast()
    task = await listening(voice)
    voice.send("", b"summary")
    for number in range(1000):
        voice.send(f"h{number}", b"%d" % number)
    voice.close()
    assert await task == [b"summary", *(b"%d" % number for number in range(1000))]
    assert voice.listeners == 0
    assert await rest(voice.listen()) == []


async def test_one_who_falls_behind_hears_the_newest_of_each_in_turn() -> None:
    voice = Broadcast()
    task = await listening(voice)
    for turn in range(5000):
        for subject in ("a", "", "b"):
            voice.send(subject, f"{subject}{turn}".encode())
    voice.close()
    assert await task == [b"a4999", b"4999", b"b4999"]


async def test_one_who_keeps_up_hears_everything() -> None:
    voice = Broadcast()
    task = await listening(voice)
    for turn in range(3):
        voice.send("a", b"%d" % turn)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    voice.close()
    assert await task == [b"0", b"1", b"2"]


async def test_listeners_do_not_grow_without_end() -> None:
    voice = Broadcast()
    task = await listening(voice)
    for number in range(20_000):
        voice.send(f"h{number}", b"%d" % number)
    voice.close()
    heard = await task
    assert (len(heard), heard[-1]) == (10_000, b"19999")
