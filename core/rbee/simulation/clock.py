"""Simulated time: what happens when, in order."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Any


class Clock:
    """Events in the order of their times; of equal times, in the order in which they were entered.

    Attributes:
        now: simulated seconds since the beginning.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._numbers = count()
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []

    def at(self, when: float, action: Callable[..., None], *given: Any) -> None:
        """Enter an event.

        Args:
            when: not before now.
            action: what happens.
            given: its arguments.
        """
        heapq.heappush(self._events, (when, next(self._numbers), action, given))

    def step(self) -> bool:
        """Let the next event happen; False when there is none."""
        if not self._events:
            return False
        self.now, _, action, given = heapq.heappop(self._events)
        action(*given)
        return True
