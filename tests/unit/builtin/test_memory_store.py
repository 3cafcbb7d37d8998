"""Leases in memory."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rbee.builtin import memory_store
from rbee.builtin.memory_store import MemoryPresenceStore
from rbee.contract import PresenceChange, PresenceEvent, PresenceStore
from rbee.testing.conformance import PresenceStoreContract

PATIENCE_S = 10


class TestMemoryPresenceStore(PresenceStoreContract):
    """The promises of every store."""

    remembers = 4096

    @pytest.fixture
    def store(self) -> PresenceStore:
        return MemoryPresenceStore()


@pytest.fixture
async def store(clock) -> AsyncIterator[MemoryPresenceStore]:
    made = MemoryPresenceStore(clock)
    await made.open()
    yield made
    await made.close()


async def take(store: MemoryPresenceStore, count: int, prefix: str = "", after: int = 0) -> list[PresenceEvent]:
    found = []
    async with asyncio.timeout(PATIENCE_S), contextlib.aclosing(store.watch(prefix, after)) as events:
        async for event in events:
            found.append(event)
            if len(found) == count:
                return found
    raise AssertionError("the watch ended")


def told(events: list[PresenceEvent]) -> list[tuple[str, str, bytes, int]]:
    return [(event.change.value, event.entry.key, event.entry.value, event.entry.revision) for event in events]


async def test_a_key_lives_until_its_time_is_up(store, clock) -> None:
    await store.put("worker/a", b"1", 10)
    clock.tick(9.9)
    assert [entry.key for entry in (await store.list())[0]] == ["worker/a"]
    clock.tick(0.1)
    assert (await store.list())[0] == []
    assert await store.renew("worker/a", 10) is False


async def test_a_renewed_key_lives_on_without_an_event(store, clock) -> None:
    revision = await store.put("a", b"1", 10)
    clock.tick(6)
    assert await store.renew("a", 10) is True
    clock.tick(6)
    entries, now = await store.list()
    assert ([entry.value for entry in entries], now) == ([b"1"], revision)


async def test_renewing_what_is_not_there_says_so(store) -> None:
    assert await store.renew("nobody", 10) is False


async def test_an_equal_value_only_renews(store, clock) -> None:
    first = await store.put("a", b"1", 10)
    clock.tick(6)
    assert await store.put("a", b"1", 10) == first
    clock.tick(6)
    assert len((await store.list())[0]) == 1
    assert (await store.list())[1] == first


async def test_another_value_is_a_change(store) -> None:
    first = await store.put("a", b"1", 10)
    assert await store.put("a", b"2", 10) == first + 1
    assert told(await take(store, 2)) == [("joined", "a", b"1", 1), ("changed", "a", b"2", 2)]


async def test_dropping_tells_the_last_value_and_repeating_it_nothing(store) -> None:
    await store.put("a", b"1", 10)
    assert await store.drop("a") is True
    assert await store.drop("a") is False
    assert told(await take(store, 2))[1] == ("left", "a", b"1", 2)
    assert (await store.list())[1] == 2


async def test_an_expired_key_has_left_and_joins_anew(store, clock) -> None:
    await store.put("a", b"1", 10)
    clock.tick(10)
    assert await store.drop("a") is False
    await store.put("a", b"1", 10)
    assert [event.change for event in await take(store, 3)] == ["joined", "left", "joined"]


async def test_a_list_is_sorted_and_knows_prefixes(store) -> None:
    for key in ("worker/b", "hive/a", "worker/a"):
        await store.put(key, b"", 10)
    assert [entry.key for entry in (await store.list("worker/"))[0]] == ["worker/a", "worker/b"]
    assert [entry.key for entry in (await store.list())[0]] == ["hive/a", "worker/a", "worker/b"]


async def test_a_watch_sees_what_comes_later_under_its_prefix(store) -> None:
    watching = asyncio.create_task(take(store, 1, "hive/"))
    await asyncio.sleep(0)
    await store.put("worker/a", b"", 10)
    await store.put("hive/a", b"x", 10)
    assert told(await watching) == [("joined", "hive/a", b"x", 2)]


async def test_a_watch_goes_on_where_another_ended(store) -> None:
    for number in range(4):
        await store.put(f"k{number}", b"", 10)
    assert [event.entry.key for event in await take(store, 2, after=2)] == ["k2", "k3"]


async def test_many_watchers_see_the_same(store) -> None:
    watching = [asyncio.create_task(take(store, 3)) for _ in range(5)]
    for number in range(3):
        await store.put("k", str(number).encode(), 10)
    seen = await asyncio.gather(*watching)
    assert all(one == seen[0] for one in seen)


async def test_expiry_wakes_a_watcher_without_any_call() -> None:
    store = MemoryPresenceStore()
    await store.open()
    await store.put("long", b"", 60)
    await store.put("short", b"", 0.02)
    assert told(await take(store, 1, after=2)) == [("left", "short", b"", 3)]
    await store.close()


async def test_a_forgotten_revision_is_told(store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_store, "_REMEMBERED", 4)
    small = MemoryPresenceStore()
    await small.open()
    for number in range(6):
        await small.put("k", str(number).encode(), 60)
    with pytest.raises(LookupError, match="revision 1"):
        await take(small, 1, after=1)
    assert [event.entry.revision for event in await take(small, 4, after=2)] == [3, 4, 5, 6]
    await small.close()


async def test_a_store_that_is_not_open_says_so() -> None:
    with pytest.raises(RuntimeError, match="opened"):
        await MemoryPresenceStore(lambda: 0.0).put("a", b"", 1)


async def test_closing_twice_is_harmless() -> None:
    store = MemoryPresenceStore()
    await store.close()
    await store.open()
    await store.close()
    await store.close()


STEP = st.one_of(
    st.tuples(st.just("put"), st.sampled_from("abc"), st.sampled_from([b"1", b"2"]), st.integers(1, 5)),
    st.tuples(st.just("renew"), st.sampled_from("abc"), st.just(b""), st.integers(1, 5)),
    st.tuples(st.just("drop"), st.sampled_from("abc"), st.just(b""), st.just(0)),
    st.tuples(st.just("tick"), st.just(""), st.just(b""), st.integers(1, 4)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=25))
def test_it_behaves_as_a_dictionary_with_deadlines(steps: list[tuple[str, str, bytes, int]]) -> None:
    async def run() -> None:
        now = 0.0
        store = MemoryPresenceStore(lambda: now)
        await store.open()
        model: dict[str, tuple[bytes, float]] = {}
        for verb, key, value, seconds in steps:
            model = {name: held for name, held in model.items() if held[1] > now}
            if verb == "put":
                await store.put(key, value, seconds)
                model[key] = (value, now + seconds)
            elif verb == "renew":
                assert await store.renew(key, seconds) is (key in model)
                if key in model:
                    model[key] = (model[key][0], now + seconds)
            elif verb == "drop":
                assert await store.drop(key) is (model.pop(key, None) is not None)
            else:
                now += seconds
        living = {name: held[0] for name, held in model.items() if held[1] > now}
        entries, revision = await store.list()
        assert {entry.key: entry.value for entry in entries} == living
        # Whoever only followed the events must have come to the same picture.
        followed: dict[str, bytes] = {}
        for event in await take(store, revision) if revision else []:
            if event.change is PresenceChange.LEFT:
                del followed[event.entry.key]
            else:
                assert (event.entry.key in followed) is (event.change is PresenceChange.CHANGED)
                followed[event.entry.key] = event.entry.value
        assert followed == living
        await store.close()

    asyncio.run(run())


@pytest.mark.parametrize("own", [True, False], ids=["own", "inherited"])
async def test_one_key_and_the_revision_can_be_asked_for(store, clock, own: bool) -> None:
    get = store.get if own else functools.partial(PresenceStore.get, store)
    revision = store.revision if own else functools.partial(PresenceStore.revision, store)
    assert (await get("w1"), await revision()) == (None, 0)
    await store.put("w10", b"ten", 5)
    assert await get("w1") is None
    await store.put("w1", b"one", 10)
    assert (await get("w1")).value == b"one"
    clock.tick(5)
    assert (await get("w10"), await revision()) == (None, 3)


async def test_whoever_sees_a_revision_sees_its_entry(store) -> None:
    waiting = asyncio.create_task(take(store, 1))
    await asyncio.sleep(0)
    putting = store.put("a", b"1", 10)
    # To the end in one step: there is no moment in between at which it could be cancelled, or seen half done.
    with pytest.raises(StopIteration):
        putting.send(None)
    assert [entry.revision for entry in (await store.list())[0]] == [1]
    assert told(await waiting) == [("joined", "a", b"1", 1)]


async def test_a_renewal_costs_the_same_however_many_leases_there_are(clock) -> None:
    def steps(frame: object, event: str, _arg: object) -> object:
        nonlocal count
        if getattr(frame, "f_code").co_filename == memory_store.__file__:  # noqa: B009  # frames have no public type here
            count += event == "line"
            return steps
        return None

    counts = []
    for leases in (10, 2000):
        store = MemoryPresenceStore(clock)
        await store.open()
        await store.put("queen/queen", b"q", 10)
        for number in range(leases):
            await store.put(f"worker/{number}", b"w", 10)
        count = 0
        before = sys.gettrace()
        sys.settrace(steps)
        try:
            assert await store.renew("worker/5", 10)
            assert [entry.key for entry in (await store.list("queen/"))[0]] == ["queen/queen"]
        finally:
            sys.settrace(before)
        counts.append(count)
        await store.close()
    assert counts[0] == counts[1]


async def test_places_in_the_queue_of_deadlines_do_not_pile_up(store, clock) -> None:
    for _ in range(100):
        await store.put("a", b"1", 10)
        await store.renew("a", 20)
        await store.drop("a")
    assert len(store._due) == 1
    await store.put("a", b"1", 30)
    await store.put("a", b"1", 2)
    clock.tick(2)
    assert (await store.list())[0] == [], "a deadline may also come nearer"
    clock.tick(30)
    assert (await store.list(), store._due, store._queued) == (([], await store.revision()), [], {})
