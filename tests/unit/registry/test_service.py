"""The registry's service: its endless stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

import pytest
from rbee.builtin.memory_store import MemoryPresenceStore
from rbee.contract.wire import LeaseRenewal, Registration
from rbee.registry import RegistryService


class WatchedStore(MemoryPresenceStore):
    """Counts who watches."""

    watching = 0

    async def watch(self, prefix: str = "", after: int = 0):
        self.watching += 1
        try:
            async with contextlib.aclosing(super().watch(prefix, after)) as events:
                async for event in events:
                    yield event
        finally:
            self.watching -= 1


def hive(name: str) -> Registration:
    return Registration(component_type="hive", component_id=name, url="http://a:1")


@pytest.fixture
async def store():
    return WatchedStore()


@pytest.fixture
async def service(store):
    made = RegistryService(store, 30)
    await made.start()
    yield made
    await made.stop()


async def test_what_is_there_comes_first_and_changes_after_it(service: RegistryService) -> None:
    await service.register(hive("a"))
    async with asyncio.timeout(10), contextlib.aclosing(service.events()) as events:
        assert (await anext(events))[1].component.component_id == "a"
        following = asyncio.create_task(anext(events))
        await asyncio.sleep(0)
        await service.register(hive("b"))
        assert (await following)[1].component.component_id == "b"


async def test_stopping_ends_the_stream(service: RegistryService, store: WatchedStore) -> None:
    async def watch() -> list:
        return [change async for change in service.events()]

    watching = asyncio.create_task(watch())
    while not store.watching:
        await asyncio.sleep(0)
    await service.stop()
    async with asyncio.timeout(10):
        assert await watching == []
    assert store.watching == 0


async def test_who_leaves_stops_watching_the_store(service: RegistryService, store: WatchedStore) -> None:
    async def watch() -> None:
        async with contextlib.aclosing(service.events()) as events:
            async for _ in events:
                pass

    watching = asyncio.create_task(watch())
    while not store.watching:
        await asyncio.sleep(0)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert store.watching == 0


async def told(service: RegistryService, count: int, after: str | None = None) -> list[tuple[str | None, str, str]]:
    async with asyncio.timeout(10), contextlib.aclosing(service.events(after)) as events:
        found = [await anext(events) for _ in range(count)]
    return [(event_id, str(change.type), change.component.component_id) for event_id, change in found]


async def test_a_listener_goes_on_behind_the_last_event_it_has_seen(service: RegistryService) -> None:
    await service.register(hive("a"))
    await service.register(hive("b"))
    (first, *_), (last, *_) = await told(service, 2)
    assert first is None, "who breaks off within the list has not seen it all"
    await service.register(hive("c"))
    await service.drop(LeaseRenewal(component_type="hive", component_id="a"))
    (joined, *rest), (left, *end) = await told(service, 2, last)
    assert (rest, end) == (["joined", "c"], ["left", "a"])
    assert [row[1:] for row in await told(service, 1, joined)] == [("left", "a")]
    assert left not in {joined, last}


@pytest.mark.parametrize(
    "odd", ["", "7", "-", "x-1", "x" * 5000, "{life}-99", "{life}--1", "{life}-9999999999999999999"]
)
async def test_an_event_that_is_unknown_or_of_another_life_begins_the_list_anew(service: RegistryService, odd) -> None:
    await service.register(hive("a"))
    ((event_id, *_),) = await told(service, 1)
    life = event_id.partition("-")[0]
    assert [row[1:] for row in await told(service, 1, odd.replace("{life}", life))] == [("joined", "a")]


async def test_a_forgotten_event_begins_the_list_anew(service: RegistryService, store: WatchedStore) -> None:
    await service.register(hive("a"))
    ((event_id, *_),) = await told(service, 1)
    store._events = deque(maxlen=2)
    for name in "bcd":
        await service.register(hive(name))
    assert [row[2] for row in await told(service, 4, event_id)] == ["a", "b", "c", "d"]


async def test_a_renewal_tells_where_the_queen_is(service: RegistryService) -> None:
    await service.register(hive("a"))
    mine = LeaseRenewal(component_type="hive", component_id="a")
    assert await service.renew(mine) is None
    await service.register(Registration(component_type="queen", component_id="queen", url="http://q:1"))
    assert (await service.renew(mine)).url == "http://q:1"
