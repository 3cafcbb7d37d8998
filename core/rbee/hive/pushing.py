"""Which beats a hive pushes to the queen, who may read its stream herself."""

from __future__ import annotations

import time
from collections.abc import Callable

from rbee.contract.wire import HiveBeatAnswer

CHECK_S = 5.0
"""Seconds between two pushes to a queen who hears the hive's stream."""


class Pushing:
    """Decides beat by beat.

    That a stream is open says nothing: the queen may be frozen, or the line be cut without a word.  So her own word
    counts: each answer to a push says whether telemetry reaches her by the stream.  While it does, one beat every few
    seconds is pushed all the same, to hear that it still does; when it does not, or a stream ends, every beat is.

    Args:
        check_s: seconds between two pushes to a queen who hears the stream.
        clock: seconds that never go back.
    """

    def __init__(self, check_s: float = CHECK_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._check_s = check_s
        self._quiet_until: float | None = None

    def due(self) -> bool:
        """Whether the present beat is to be pushed."""
        return self._quiet_until is None or self._clock() >= self._quiet_until

    def answered(self, answer: HiveBeatAnswer) -> None:
        """The queen has taken a push."""
        self._quiet_until = self._clock() + self._check_s if answer.subscribed else None

    def resume(self) -> None:
        """A stream has ended: push until the queen says otherwise."""
        self._quiet_until = None
