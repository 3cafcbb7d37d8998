"""Being in the registry."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from unittest.mock import Mock

import pytest
from rbee.clients import Membership, backoff
from rbee.contract.errors import (
    AuthenticationError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    UnreachableError,
)
from rbee.contract.wire import Component, LeaseRenewal, Registration

MINE = Registration(component_type="hive", component_id="h", url="http://a:1", instance_id="i")


class FakeRegistry:
    """Answers as the registry does, and remembers the calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.renewals: list[LeaseRenewal] = []
        self.trouble: Exception | None = None
        self.forgotten = False
        self.queen: Component | None = None
        self.called = asyncio.Condition()

    async def _note(self, call: str) -> None:
        async with self.called:
            self.calls.append(call)
            self.called.notify_all()
        if self.trouble is not None:
            raise self.trouble

    async def register(self, registration: Registration) -> None:
        await self._note(f"register {registration.model}")
        self.forgotten = False

    async def renew(self, renewal: LeaseRenewal) -> Component | None:
        self.renewals.append(renewal)
        await self._note("renew")
        if self.forgotten:
            raise NotFoundError("register again")
        return self.queen

    async def unregister(self, renewal: LeaseRenewal) -> None:
        await self._note("unregister")

    async def until(self, done: Callable[[list[str]], bool]) -> None:
        async with asyncio.timeout(10), self.called:
            await self.called.wait_for(lambda: done(self.calls))


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


async def test_it_registers_once_and_then_renews(registry: FakeRegistry) -> None:
    membership = Membership(registry, lambda: MINE, 0.005)
    task = asyncio.create_task(membership.run())
    await registry.until(lambda calls: calls.count("renew") >= 3)
    assert membership.registered is True
    task.cancel()
    assert [call for call in registry.calls if call != "renew"] == ["register None"]
    assert registry.renewals[0] == LeaseRenewal(component_type="hive", component_id="h", instance_id="i")


async def test_a_registry_that_has_forgotten_is_told_again_at_once(registry: FakeRegistry) -> None:
    task = asyncio.create_task(Membership(registry, lambda: MINE, 0.005).run())
    await registry.until(lambda calls: "renew" in calls)
    registry.forgotten = True
    await registry.until(lambda calls: calls.count("register None") == 2)
    await registry.until(lambda calls: calls[-1] == "renew")
    task.cancel()


async def test_a_registry_that_is_away_is_tried_again(registry: FakeRegistry) -> None:
    registry.trouble = UnreachableError("away")
    membership = Membership(registry, lambda: MINE, 600, draw=lambda: 0.001)
    task = asyncio.create_task(membership.run())
    await registry.until(lambda calls: len(calls) >= 2)
    assert membership.registered is False
    registry.trouble = None
    async with asyncio.timeout(10):
        while not membership.registered:
            await asyncio.sleep(0.001)
    task.cancel()


async def test_one_whose_id_another_has_says_so_once_and_tries_rarely(
    registry: FakeRegistry, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("rbee.clients.membership.jittered", lambda seconds: waits.append(seconds) or 0.0)
    registry.trouble = ConflictError("'hive/h' is in use by another process at 'http://b:1'.")
    task = asyncio.create_task(Membership(registry, lambda: MINE, 0.01).run())
    await registry.until(lambda calls: len(calls) >= 3)
    registry.trouble = None
    await registry.until(lambda calls: "renew" in calls)
    task.cancel()
    assert set(waits) == {30.0}
    told = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert told == ["the registry refuses us: 'hive/h' is in use by another process at 'http://b:1'."]


async def test_leaving_is_silent_when_the_registry_is_gone(registry: FakeRegistry) -> None:
    registry.trouble = UnreachableError("away")
    membership = Membership(registry, lambda: MINE, 600)
    await membership.leave()
    assert (registry.calls, membership.registered) == (["unregister"], False)


async def test_the_queen_that_the_registry_names_is_told_with_each_renewal(registry: FakeRegistry) -> None:
    heard: list[Component | None] = []
    task = asyncio.create_task(Membership(registry, lambda: MINE, 0.005, heard.append).run())
    await registry.until(lambda calls: "renew" in calls)
    registry.queen = Component(component_type="queen", component_id="queen", url="http://q:1")
    renewals = registry.calls.count("renew")
    await registry.until(lambda calls: calls.count("renew") > renewals + 1)
    task.cancel()
    assert heard[0] is None
    assert heard[-1] == registry.queen


def test_a_thousand_who_fail_in_one_instant_do_not_return_in_one_and_are_all_back_within_an_interval() -> None:
    chance = random.Random(7)
    members = [Membership(Mock(), lambda: MINE, 15.0, draw=chance.random) for _ in range(1000)]
    for away_s in (0.5, 3.0, 60.0):
        returns = []
        for member in members:
            waits, now = backoff(), 0.0
            while now <= away_s:
                now += member.retry_wait(next(waits))
            returns.append(now - away_s)
        assert max(returns) <= 15.0
        busiest = max(Counter(int(moment / 0.1) for moment in returns).values())
        assert busiest < 150, f"{busiest} in a tenth of a second after {away_s} s"


async def test_a_token_that_is_refused_is_told_at_the_first_try_and_then_once_for_each_reason(
    registry: FakeRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    registry.trouble = AuthenticationError("The token is not this colony's.")
    task = asyncio.create_task(Membership(registry, lambda: MINE, 0.005, draw=lambda: 0.5).run())
    await registry.until(lambda calls: len(calls) >= 3)
    registry.trouble = PermissionDeniedError("The Host 'x' is not one of this program's.")
    seen = len(registry.calls)
    await registry.until(lambda calls: len(calls) >= seen + 3)
    task.cancel()
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "the registry refuses us: The token is not this colony's.",
        "the registry refuses us: The Host 'x' is not one of this program's.",
    ]
