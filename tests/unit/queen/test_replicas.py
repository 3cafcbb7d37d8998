"""More workers of a model while requests wait for long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from rbee.contract.errors import NoPlacementError
from rbee.queen.replicas import Replicas
from rbee.queen.waiting import WaitingRoom
from rbee.scheduler import Wish
from rbee.settings.model import QueenSettings, Settings

ANY = Wish()


class Loads:
    def __init__(self) -> None:
        self.workers = ["w0"]
        self.room_for = 9
        self.trouble: Exception | None = None
        self.go = asyncio.Event()
        self.go.set()
        self.asked = 0

    def there(self, found: Any, hive_id: str | None) -> list[Any]:
        return [SimpleNamespace(worker_id=name) for name in self.workers]

    async def where_there_is_room(self, found: Any, wish: Wish) -> str | None:
        self.asked += 1
        await self.go.wait()
        if self.trouble is not None:
            raise self.trouble
        if len(self.workers) > self.room_for:
            return None
        self.workers.append(f"w{len(self.workers)}")
        return self.workers[-1]


class Desk:
    def __init__(self, **queen: Any) -> None:
        self.room = WaitingRoom(99)
        self.loads = Loads()
        self.rushed: set[str] = set()
        self.ahead = 0.0
        loop = asyncio.get_running_loop()
        self.replicas = Replicas(
            self.room,
            SimpleNamespace(present=lambda name, trusted: None if name == "unknown" else SimpleNamespace(name=name)),
            self.loads,
            SimpleNamespace(rushed=self.rushed.update),
            Settings(queen=QueenSettings(replica_wait_s=1.0, **queen)),
            lambda: loop.time() + self.ahead,
        )  # type: ignore[arg-type]  # as much of them as is asked for
        self.tasks: list[asyncio.Task[Any]] = []

    async def comes(self, waited_s: float, model: str = "m", wish: Wish = ANY) -> None:
        loop = asyncio.get_running_loop()
        self.tasks.append(asyncio.create_task(self.room.wait((model,), loop.time() + 60, wish=wish)))
        await asyncio.sleep(0)
        self.room._queues[(model,), wish].places[-1].since -= waited_s

    async def look(self) -> None:
        self.replicas.look()
        for _ in range(4):
            await asyncio.sleep(0)

    async def close(self) -> None:
        await self.replicas.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
async def make():
    made: list[Desk] = []

    def desk(**queen: Any) -> Desk:
        made.append(Desk(**queen))
        return made[-1]

    yield desk
    for one in made:
        await one.close()


async def test_a_queue_that_outlasts_the_threshold_gets_another_worker(make: Callable[..., Desk]) -> None:
    desk = make()
    await desk.comes(0.5)
    await desk.look()
    assert desk.loads.workers == ["w0"]
    await desk.comes(1.5)
    await desk.look()
    assert desk.loads.workers == ["w0", "w1"]
    assert desk.rushed == {"w1"}


async def test_a_worker_that_a_person_loads_meanwhile_is_not_taken_for_one_of_the_rush(
    make: Callable[..., Desk],
) -> None:
    desk = make()
    desk.loads.go.clear()
    await desk.comes(5)
    await desk.look()
    desk.loads.workers.append("by hand")
    desk.loads.go.set()
    await desk.look()
    assert desk.rushed == {"w2"}


async def test_it_is_one_at_a_time_and_not_more_than_the_most(make: Callable[..., Desk]) -> None:
    desk = make(replicas=3)
    desk.loads.go.clear()
    await desk.comes(5)
    await desk.look()
    await desk.look()
    assert desk.loads.asked == 1
    desk.loads.go.set()
    for _ in range(9):
        await desk.look()
    assert desk.loads.workers == ["w0", "w1", "w2"]


async def test_where_there_is_no_room_it_is_looked_again_later(make: Callable[..., Desk]) -> None:
    desk = make()
    desk.loads.room_for = 0
    await desk.comes(5)
    for _ in range(5):
        await desk.look()
    assert desk.loads.asked == 1
    desk.ahead = 31.0
    await desk.look()
    assert desk.loads.asked == 2


async def test_a_start_that_fails_is_told_and_paused(make: Callable[..., Desk], caplog) -> None:
    desk = make()
    desk.loads.trouble = NoPlacementError("no machine is known")
    await desk.comes(5)
    for _ in range(3):
        await desk.look()
    assert desk.loads.asked == 1
    assert "no machine is known" in caplog.text


async def test_who_names_a_worker_or_an_unknown_model_has_nothing_started(make: Callable[..., Desk]) -> None:
    desk = make()
    await desk.comes(5, wish=Wish(worker_id="w0"))
    await desk.comes(5, model="unknown")
    await desk.look()
    assert desk.loads.asked == 0


async def test_a_model_that_no_worker_serves_is_not_a_matter_of_replicas(make: Callable[..., Desk]) -> None:
    desk = make()
    desk.loads.workers = []
    await desk.comes(5)
    await desk.look()
    assert desk.loads.asked == 0


async def test_with_one_as_the_most_none_are_started(make: Callable[..., Desk]) -> None:
    desk = make(replicas=1)
    await desk.comes(5)
    await desk.look()
    assert desk.loads.asked == 0
