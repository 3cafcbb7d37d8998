"""What ``rbee worker drain`` and ``rbee hive drain`` have in common: telling, then waiting for the last request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rbee.cli.console import Talk, talking
from rbee.contract.errors import RequestTimeoutError

T = TypeVar("T")

_AGAIN_S = 0.25


async def until_drained(
    turn: Callable[[], Awaitable[T]], open_in: Callable[[T], int], what: str, *, wait: bool, timeout_s: float | None
) -> T:
    """Tell somebody to drain and wait until nothing is open there.

    Args:
        turn: tells; harmless when repeated.
        open_in: requests that are still open, by the answer.
        what: who drains, for messages: "Worker w-1".
        wait: else the first answer will do.
        timeout_s: how long to wait; None for as long as it takes.

    Raises:
        RequestTimeoutError: the time is up; it goes on draining.
    """
    began = time.monotonic()
    said: int | None = None
    with talking() as talk:
        while True:
            told = await turn()
            left = open_in(told)
            if not wait or not left:
                return told
            if left != said:
                said = left
                _say(talk, what, left)
            if timeout_s is not None and time.monotonic() - began > timeout_s:
                raise RequestTimeoutError(
                    f"{what} still answers {_requests(left)} after {timeout_s:g} s, and goes on draining."
                )
            await asyncio.sleep(_AGAIN_S)


def _say(talk: Talk, what: str, left: int) -> None:
    talk.note(f"{what} takes no more requests; {_requests(left)} still open (Ctrl+C leaves it so)")


def _requests(number: int) -> str:
    return "1 request" if number == 1 else f"{number} requests"
