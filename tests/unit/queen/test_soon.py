"""Room that is being made is waited for, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rbee.queen.soon import RoomSoon
from rbee.queen.yielding import Yielding
from rbee.scheduler import HiveView, Start
from unit.scheduler.test_place import GIB, WANTED, hive

SECONDS = 5.0


class Colony:
    """Starts and stops under way, and what there is besides them."""

    def __init__(self, without_starts: HiveView, *, starts: bool, stops: bool) -> None:
        self.loading, self.any = starts, stops
        self._hive = without_starts
        self.waited: list[float] = []

    def hives(self, variants: Any, *, coming: bool, busy: bool) -> list[HiveView]:
        # That those who are busy will be idle would be of no help here.
        return [FULL if coming or busy else self._hive]

    def on(self, hive_id: str) -> bool:
        return self.any and hive_id == "h"

    async def one_ends(self, within_s: float) -> bool:
        self.waited.append(within_s)
        return within_s > 0

    def soon(self) -> RoomSoon:
        return RoomSoon(self, self, self, 9, Yielding(10.0, lambda _: None))  # type: ignore[arg-type]  # all that is asked of them


ROOM, FULL = hive("h"), hive("h", ram_free_bytes=0)


@pytest.mark.parametrize(
    ("starts", "stops", "but_for_starts", "without", "waits"),
    [
        (False, False, ROOM, (), False),
        (False, True, FULL, (), True),
        (True, False, ROOM, (), True),
        # Its end would leave no more room for this one.
        (True, False, FULL, (), False),
        (True, False, ROOM, ("h",), False),
    ],
)
async def test_after_a_refusal_only_what_may_mend_it_is_waited_for(
    starts: bool, stops: bool, but_for_starts: HiveView, without: tuple[str, ...], waits: bool
) -> None:
    colony = Colony(but_for_starts, starts=starts, stops=stops)
    until = asyncio.get_running_loop().time() + SECONDS
    assert await colony.soon().after_refusal(WANTED, without, until) is waits
    assert all(0 < one <= SECONDS for one in colony.waited)
    assert bool(colony.waited) is waits


@pytest.mark.parametrize(
    ("hive_id", "evict", "stops", "waits"),
    [("h", ("w",), True, True), ("h", ("w",), False, False), ("h", (), True, False), ("other", ("w",), True, False)],
)
async def test_before_another_worker_is_stopped_a_stop_on_the_same_hive_is_waited_for(
    hive_id: str, evict: tuple[str, ...], stops: bool, waits: bool
) -> None:
    colony = Colony(ROOM, starts=False, stops=stops)
    start = Start(hive_id=hive_id, engine="e", device="CPU-0", model_id="m", evict=evict, memory_bytes=GIB)
    until = asyncio.get_running_loop().time() + SECONDS
    assert await colony.soon().before_evicting(start, until) is waits


async def test_who_has_no_patience_left_waits_for_nothing() -> None:
    colony = Colony(ROOM, starts=True, stops=True)
    until = asyncio.get_running_loop().time() - 1
    assert not await colony.soon().after_refusal(WANTED, (), until)
