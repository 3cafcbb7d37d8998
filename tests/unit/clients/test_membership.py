"""Being in the registry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from rbee.clients import Membership
from rbee.clients import membership as membership_module
from rbee.contract.errors import NotFoundError, UnreachableError
from rbee.contract.wire import LeaseRenewal, Registration

MINE = Registration(component_type="hive", component_id="h", url="http://a:1", instance_id="i")


class FakeRegistry:
    """Answers as the registry does, and remembers the calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.renewals: list[LeaseRenewal] = []
        self.trouble: Exception | None = None
        self.forgotten = False
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

    async def renew(self, renewal: LeaseRenewal) -> None:
        self.renewals.append(renewal)
        await self._note("renew")
        if self.forgotten:
            raise NotFoundError("register again")

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


async def test_a_registry_that_is_away_is_tried_again(registry: FakeRegistry, monkeypatch) -> None:
    monkeypatch.setattr(membership_module, "jittered", lambda _: 0.001)
    registry.trouble = UnreachableError("away")
    membership = Membership(registry, lambda: MINE, 600)
    task = asyncio.create_task(membership.run())
    await registry.until(lambda calls: len(calls) >= 2)
    assert membership.registered is False
    registry.trouble = None
    async with asyncio.timeout(10):
        while not membership.registered:
            await asyncio.sleep(0.001)
    task.cancel()


async def test_leaving_is_silent_when_the_registry_is_gone(registry: FakeRegistry) -> None:
    registry.trouble = UnreachableError("away")
    membership = Membership(registry, lambda: MINE, 600)
    await membership.leave()
    assert (registry.calls, membership.registered) == (["unregister"], False)
