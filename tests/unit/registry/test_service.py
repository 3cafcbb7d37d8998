"""The registry's service: its endless stream."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from rbee.builtin.memory_store import MemoryPresenceStore
from rbee.contract.wire import Registration
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
        assert (await anext(events)).component.component_id == "a"
        following = asyncio.create_task(anext(events))
        await asyncio.sleep(0)
        await service.register(hive("b"))
        assert (await following).component.component_id == "b"


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
