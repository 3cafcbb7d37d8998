"""A thread that nobody waits for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest
from rbee.builtin.one_thread import OneThread


async def test_all_calls_are_made_in_one_thread_in_order() -> None:
    thread, made = OneThread("t"), []
    await asyncio.gather(*(thread.call(lambda number=number: made.append(number)) for number in range(20)))
    assert made == list(range(20))
    assert await thread.call(threading.get_ident) == await thread.call(threading.get_ident) != threading.get_ident()
    thread.close()


async def test_what_a_function_raises_is_raised() -> None:
    thread = OneThread("t")
    with pytest.raises(ZeroDivisionError):
        await thread.call(lambda: 1 // 0)
    assert await thread.call(int) == 0
    thread.close()


async def test_a_call_that_is_given_up_before_its_turn_is_not_made() -> None:
    thread, gate, made = OneThread("t"), threading.Event(), []
    first = asyncio.create_task(thread.call(gate.wait, 10))
    second = asyncio.create_task(thread.call(made.append, 1))
    await asyncio.sleep(0.01)
    second.cancel()
    await asyncio.wait([second])
    gate.set()
    await first
    await thread.call(int)
    assert made == []
    thread.close()


def test_a_call_that_hangs_does_not_keep_the_program() -> None:
    code = """
import asyncio, time
from rbee.builtin.one_thread import OneThread
async def main():
    try:
        async with asyncio.timeout(0.1):
            await OneThread("t").call(time.sleep, 60)
    except TimeoutError:
        print("left")
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=20, check=True)
    assert done.stdout == b"left\n"
