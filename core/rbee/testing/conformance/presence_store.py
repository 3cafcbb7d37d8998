"""The promises of `rbee.contract.PresenceStore`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import ClassVar

import pytest

from rbee.contract import PresenceChange, PresenceEvent, PresenceStore
from rbee.testing.conformance.promises import Promises

PATIENCE_S = 20.0
"""How long a test waits for an event: only a store that does not keep its promises takes so long."""
LONG_S = 600.0

Body = Callable[[PresenceStore], Awaitable[None]]
VALUES = (b"", b"\x00", b"\xff\xfe", b'{"a": "\\u00fc"}', b"line\r\n\r\n", bytes(range(256)) * 256)
KEYS = ("worker/a", "worker/a*", "worker/a?[b]", "worker/a b", "worker/\N{LATIN SMALL LETTER U WITH DIAERESIS}")


class PresenceStoreContract(Promises, kit=True):
    """Subclass it and give the fixture `store`.

    Every test opens and closes the store itself, in an event loop of its own.
    """

    short_s: ClassVar[float] = 0.3
    """The shortest time to live to test with; a store that counts in whole seconds says 1."""
    remembers: ClassVar[int | None] = None
    """Changes after which the oldest is certainly forgotten; None for a store that never forgets, or by age alone."""

    @pytest.fixture
    def store(self) -> PresenceStore:
        """The store under test, not opened, with nothing in it; made afresh for every test."""
        raise NotImplementedError("give the fixture `store`: return YourStore() over an empty back-end")

    def test_the_store_has_a_name_of_its_own(self, store: PresenceStore) -> None:
        """A name is a word in lower case."""
        name = type(store).name
        assert isinstance(name, str)
        assert name
        assert name == name.strip().lower()

    def test_closing_what_was_never_opened_is_harmless(self, store: PresenceStore) -> None:
        """The registry closes the store also when opening it has failed."""
        asyncio.run(_within(store.close()))

    def test_an_empty_store_has_nothing(self, store: PresenceStore) -> None:
        """Nothing is listed, found, renewed or dropped."""

        async def body(store: PresenceStore) -> None:
            assert await store.list() == ([], await store.revision())
            assert await store.get("worker/a") is None
            assert await store.renew("worker/a", LONG_S) is False
            assert await store.drop("worker/a") is False

        _run(store, body)

    def test_what_was_put_is_there_with_its_revision(self, store: PresenceStore) -> None:
        """`put`, `get`, `list` and `revision` say the same."""

        async def body(store: PresenceStore) -> None:
            revision = await store.put("worker/a", b"1", LONG_S)
            entries, now = await store.list()
            assert [(one.key, one.value, one.revision) for one in entries] == [("worker/a", b"1", revision)]
            assert now == revision == await store.revision()
            assert await store.get("worker/a") == entries[0]

        _run(store, body)

    def test_values_are_opaque(self, store: PresenceStore) -> None:
        """Any bytes come back as they were, none and many included."""

        async def body(store: PresenceStore) -> None:
            for number, value in enumerate(VALUES):
                await store.put(f"worker/{number}", value, LONG_S)
            found = {one.key: one.value for one in (await store.list())[0]}
            assert found == {f"worker/{number}": value for number, value in enumerate(VALUES)}
            told = await _take(store, len(VALUES))
            assert [event.entry.value for event in told] == list(VALUES)

        _run(store, body)

    def test_keys_are_taken_as_they_are(self, store: PresenceStore) -> None:
        """No character of a key is a pattern; a key that begins like another is not that one."""

        async def body(store: PresenceStore) -> None:
            for key in KEYS:
                await store.put(key, key.encode(), LONG_S)
            assert {one.key for one in (await store.list("worker/a*"))[0]} == {"worker/a*"}
            for key in KEYS:
                found = await store.get(key)
                assert found is not None
                assert (found.key, found.value) == (key, key.encode())
            assert await store.drop("worker/a") is True
            assert await store.get("worker/a") is None
            assert await store.renew("worker/a", LONG_S) is False
            assert {one.key for one in (await store.list())[0]} == set(KEYS) - {"worker/a"}

        _run(store, body)

    def test_a_list_is_sorted_and_knows_prefixes(self, store: PresenceStore) -> None:
        """The revision is the whole store's, whatever the prefix."""

        async def body(store: PresenceStore) -> None:
            for key in ("worker/b", "hive/a", "worker/a"):
                await store.put(key, b"", LONG_S)
            workers, revision = await store.list("worker/")
            assert [one.key for one in workers] == ["worker/a", "worker/b"]
            everything, same = await store.list()
            assert [one.key for one in everything] == ["hive/a", "worker/a", "worker/b"]
            assert revision == same == max(one.revision for one in everything)

        _run(store, body)

    def test_another_value_is_a_change_and_an_equal_one_is_none(self, store: PresenceStore) -> None:
        """An equal value keeps revision and silence."""

        async def body(store: PresenceStore) -> None:
            first = await store.put("a", b"1", LONG_S)
            assert await store.put("a", b"1", LONG_S) == first
            second = await store.put("a", b"2", LONG_S)
            assert second > first
            assert await store.revision() == second
            assert _told(await _take(store, 2)) == [("joined", "a", b"1", first), ("changed", "a", b"2", second)]

        _run(store, body)

    def test_dropping_is_told_once_with_the_last_value(self, store: PresenceStore) -> None:
        """Of what is gone already nothing is told."""

        async def body(store: PresenceStore) -> None:
            before = await store.put("a", b"1", LONG_S)
            assert await store.drop("a") is True
            assert await store.drop("a") is False
            after = await store.revision()
            assert after > before
            assert await store.list() == ([], after)
            assert _told(await _take(store, 1, after=before)) == [("left", "a", b"1", after)]
            again = await store.put("a", b"1", LONG_S)
            assert _told(await _take(store, 1, after=after)) == [("joined", "a", b"1", again)]

        _run(store, body)

    def test_an_expired_key_has_left_without_any_call(self, store: PresenceStore) -> None:
        """Watchers hear of it, and from then on it is not there."""

        async def body(store: PresenceStore) -> None:
            put = await store.put("short", b"1", self.short_s)
            (left,) = await _take(store, 1, after=put)
            assert (left.change, left.entry.key, left.entry.value) == (PresenceChange.LEFT, "short", b"1")
            assert left.entry.revision > put
            assert await store.list() == ([], left.entry.revision)
            assert await store.get("short") is None
            assert await store.renew("short", LONG_S) is False
            assert await store.drop("short") is False

        _run(store, body)

    def test_a_renewed_key_outlives_its_first_time_without_an_event(self, store: PresenceStore) -> None:
        """Renewed by `renew` and by an equal `put` alike; told by one that was not renewed and so has left."""

        async def body(store: PresenceStore) -> None:
            await store.put("renewed", b"1", self.short_s * 2)
            await store.put("put again", b"1", self.short_s * 2)
            await store.put("silent", b"1", self.short_s * 2)
            before = await store.revision()
            assert await store.renew("renewed", LONG_S) is True
            await store.put("put again", b"1", LONG_S)
            assert await store.revision() == before
            (left,) = await _take(store, 1, after=before)
            assert left.entry.key == "silent"
            assert [one.key for one in (await store.list())[0]] == ["put again", "renewed"]

        _run(store, body)

    def test_a_watch_tells_what_comes_later_under_its_prefix(self, store: PresenceStore) -> None:
        """Revisions of the rest are passed over."""

        async def body(store: PresenceStore) -> None:
            watching = asyncio.create_task(_take(store, 2, "hive/"))
            await store.put("worker/a", b"", LONG_S)
            first = await store.put("hive/a", b"x", LONG_S)
            await store.put("worker/b", b"", LONG_S)
            second = await store.put("hive/b", b"y", LONG_S)
            assert _told(await watching) == [("joined", "hive/a", b"x", first), ("joined", "hive/b", b"y", second)]

        _run(store, body)

    def test_watches_have_no_gap_and_no_double(self, store: PresenceStore) -> None:
        """Begun before, between and after the changes, and going on where another has ended."""

        async def body(store: PresenceStore) -> None:
            begin = await store.revision()
            early = asyncio.create_task(_take(store, 40, after=begin))
            revisions = [await store.put(f"k{number % 7}", str(number).encode(), LONG_S) for number in range(20)]
            middle = asyncio.create_task(_take(store, 30, after=revisions[9]))
            revisions += [await store.put(f"k{number % 7}", str(number).encode(), LONG_S) for number in range(20, 40)]
            assert [event.entry.revision for event in await early] == revisions
            assert [event.entry.revision for event in await middle] == revisions[10:]
            late = await _take(store, 5, after=revisions[34])
            assert [event.entry.value for event in late] == [str(number).encode() for number in range(35, 40)]

        _run(store, body)

    def test_concurrent_puts_have_revisions_of_their_own(self, store: PresenceStore) -> None:
        """No two share one, watchers see them rise, and `list` and the events tell the same story."""

        async def body(store: PresenceStore) -> None:
            begin = await store.revision()
            puts = [store.put(f"worker/{number % 5}", str(number).encode(), LONG_S) for number in range(50)]
            revisions = await asyncio.gather(*puts)
            assert len(set(revisions)) == len(revisions)
            told = [event.entry for event in await _take(store, 50, after=begin)]
            assert [one.revision for one in told] == sorted(revisions)
            assert all(before.revision < after.revision for before, after in pairwise(told))
            last = {one.key: one for one in told}
            assert {one.key: one for one in (await store.list())[0]} == last

        _run(store, body)

    def test_a_forgotten_revision_is_said_to_be_forgotten(self, store: PresenceStore) -> None:
        """LookupError, rather than a watch with a gap."""
        if self.remembers is None:
            pytest.skip("the store forgets nothing by number; `remembers` says otherwise")
        changes = self.remembers + 1

        async def body(store: PresenceStore) -> None:
            first = await store.put("a", b"", LONG_S)
            for number in range(changes):
                await store.put("a", str(number).encode(), LONG_S)
            with pytest.raises(LookupError):
                await _take(store, 1, after=first)

        _run(store, body)

    def test_a_revision_that_is_not_yet_is_of_another_life(self, store: PresenceStore) -> None:
        """LookupError: whoever waited for it to come would miss all changes up to it."""

        async def body(store: PresenceStore) -> None:
            revision = await store.put("a", b"", LONG_S)
            with pytest.raises(LookupError):
                await _take(store, 1, after=revision + 1000)

        _run(store, body)

    def test_who_leaves_a_watch_disturbs_nobody(self, store: PresenceStore) -> None:
        """The others go on, and so does the store."""

        async def body(store: PresenceStore) -> None:
            staying = asyncio.create_task(_take(store, 2))
            leaving = asyncio.create_task(_take(store, 2))
            await store.put("a", b"1", LONG_S)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            await store.put("a", b"2", LONG_S)
            assert [event.entry.value for event in await staying] == [b"1", b"2"]

        _run(store, body)

    def test_closing_ends_watches(self, store: PresenceStore) -> None:
        """They end by themselves, without an error."""

        async def follow(store: PresenceStore, heard: asyncio.Event) -> None:
            async with contextlib.aclosing(store.watch()) as events:
                async for _ in events:
                    heard.set()

        async def run() -> None:
            heard = asyncio.Event()
            await store.open()
            watching = asyncio.create_task(follow(store, heard))
            try:
                await store.put("a", b"", LONG_S)
                await heard.wait()
            finally:
                await store.close()
            await watching

        asyncio.run(_within(run()))


def _run(store: PresenceStore, body: Body) -> None:
    async def run() -> None:
        async with _opened(store):
            await body(store)

    asyncio.run(_within(run()))


async def _within(work: Awaitable[None]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await work


@asynccontextmanager
async def _opened(store: PresenceStore) -> AsyncIterator[None]:
    try:
        await store.open()
        yield
    finally:
        await store.close()


async def _take(store: PresenceStore, count: int, prefix: str = "", after: int = 0) -> list[PresenceEvent]:
    """So many events of a watch."""
    found: list[PresenceEvent] = []
    async with contextlib.aclosing(store.watch(prefix, after)) as events:
        async for event in events:
            found.append(event)
            if len(found) == count:
                return found
    raise AssertionError(f"the watch ended after {len(found)} events of {count}")


def _told(events: list[PresenceEvent]) -> list[tuple[str, str, bytes, int]]:
    return [(event.change.value, event.entry.key, event.entry.value, event.entry.revision) for event in events]
