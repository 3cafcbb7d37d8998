"""Where the queen is, for those who report to her."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from rbee.clients import Credentials, QueenLookup, Transport
from rbee.contract.errors import AuthenticationError, UnreachableError
from rbee.contract.wire import Component

A, B, C = "http://a:1", "http://b:2", "http://c:3"


class FakeRegistry:
    """Answers with a queen, with none, or not at all."""

    def __init__(self) -> None:
        self.url: str | None = None
        self.away = False
        self.asked = 0

    async def queen(self) -> Component | None:
        self.asked += 1
        if self.away:
            raise UnreachableError("away")
        return None if self.url is None else component(self.url)


def component(url: str) -> Component:
    return Component(component_type="queen", component_id="queen", url=url)


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
async def lookup(registry: FakeRegistry) -> AsyncIterator[QueenLookup]:
    made = QueenLookup(registry, None, Credentials())
    yield made
    await made.close()


async def found(lookup: QueenLookup) -> Transport:
    queen = await lookup.find()
    assert queen is not None
    return queen


async def test_an_address_that_was_given_is_the_only_one(registry: FakeRegistry) -> None:
    registry.url = B
    lookup = QueenLookup(registry, A + "/", Credentials())
    queen = await found(lookup)
    lookup.failed(queen)
    assert lookup.introduced(C) is True
    lookup.named(component(B))
    assert await lookup.find() is queen
    assert (queen.url, registry.asked, lookup.changed.is_set()) == (A, 0, False)
    await lookup.close()


async def test_the_registry_is_asked_until_it_knows_and_then_no_more(lookup: QueenLookup, registry) -> None:
    assert await lookup.find() is None
    registry.url = A
    assert (await found(lookup)).url == A
    await lookup.find()
    assert registry.asked == 2
    assert lookup.found_by_all


async def test_a_registry_that_is_away_leaves_the_last_address(lookup: QueenLookup, registry: FakeRegistry) -> None:
    registry.url = A
    queen = await found(lookup)
    lookup.answered()
    registry.away = True
    lookup.failed(queen)
    assert await lookup.find() is queen


@pytest.mark.parametrize("answers", [True, False])
async def test_a_registry_without_a_queen_makes_nobody_lose_one(lookup: QueenLookup, registry, answers: bool) -> None:
    registry.url = A
    queen = await found(lookup)
    lookup.answered()
    registry.url = None
    lookup.named(None)
    if not answers:
        lookup.failed(queen)
    assert await lookup.find() is queen


async def test_a_queen_who_does_not_answer_is_looked_for_anew(lookup: QueenLookup, registry: FakeRegistry) -> None:
    registry.url = A
    lookup.failed(await found(lookup))
    registry.url = B
    assert (await found(lookup)).url == B


async def test_all_addresses_known_are_tried_in_turn(lookup: QueenLookup, registry: FakeRegistry) -> None:
    registry.url = C
    await found(lookup)
    lookup.answered()
    registry.url = A
    lookup.introduced(B)
    seen = []
    for _ in range(6):
        queen = await found(lookup)
        seen.append(queen.url)
        lookup.failed(queen)
    assert seen == [C, A, B, C, A, B]


async def test_another_queen_named_with_a_renewal_is_believed(lookup: QueenLookup, registry: FakeRegistry) -> None:
    registry.url = A
    old = await found(lookup)
    lookup.answered()
    lookup.named(component(A))
    assert not lookup.changed.is_set()
    lookup.named(component(B))
    assert lookup.changed.is_set()
    assert (await found(lookup)).url == B
    with pytest.raises(UnreachableError, match="no longer asked"):
        await old.call("GET", "/health", dict)


async def test_who_introduces_herself_counts_when_there_is_nobody_or_nobody_who_answers(
    lookup: QueenLookup, registry: FakeRegistry
) -> None:
    assert lookup.introduced("nowhere") is False
    assert lookup.introduced(A) is True
    assert lookup.changed.is_set()
    queen = await found(lookup)
    lookup.answered()
    lookup.introduced(B)
    assert await lookup.find() is queen
    lookup.failed(queen)
    lookup.introduced(C)
    assert (await found(lookup)).url == C
    assert not lookup.found_by_all


async def test_a_late_failure_of_an_earlier_queen_is_not_the_present_ones(lookup: QueenLookup, registry) -> None:
    registry.url = A
    old = await found(lookup)
    lookup.named(component(B))
    lookup.failed(old)
    asked = registry.asked
    assert (await found(lookup)).url == B
    assert registry.asked == asked


@pytest.mark.parametrize("with_registry", [True, False])
async def test_a_colony_that_is_elsewhere_is_looked_for_there(lookup: QueenLookup, registry, with_registry) -> None:
    registry.url = A
    await found(lookup)
    lookup.join(registry if with_registry else None)
    lookup.move(C)
    queen = await found(lookup)
    assert queen.url == (A if with_registry else C)
    lookup.failed(queen)
    assert (await found(lookup)).url == C


async def test_a_queen_who_refuses_us_is_told_of_once_until_she_does_not(
    lookup: QueenLookup, registry: FakeRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    registry.url = A
    queen = await found(lookup)
    refusal = AuthenticationError("The token is not this colony's.")
    for error in (UnreachableError("away"), refusal, refusal):
        lookup.failed(queen, error)
    told = [record.message for record in caplog.records]
    assert told == [f"the queen at {A} refuses us: The token is not this colony's."]
    lookup.answered()
    lookup.failed(queen, refusal)
    assert len(caplog.records) == 2
