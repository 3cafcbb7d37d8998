"""Components under leases."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from rbee.builtin.memory_store import MemoryPresenceStore
from rbee.contract.errors import ConflictError, InvalidRequestError, NotFoundError
from rbee.contract.wire import Component, LeaseRenewal, Registration, utc_now
from rbee.presence import Leases
from rbee.presence.leases import ComponentChange

WORKER = Registration(worker_id="w1", hostname="localhost", port=8080, model="m", spawned_by="gui", worker_type="llm")
HIVE = Registration(component_type="hive", component_id="h1", url="http://box:7835/", instance_id="i1")
RENEW_HIVE = LeaseRenewal(component_type="hive", component_id="h1", instance_id="i1")


@pytest.fixture
async def leases(clock) -> AsyncIterator[Leases]:
    store = MemoryPresenceStore(clock)
    await store.open()
    yield Leases(store, 30)
    await store.close()


async def changes(leases: Leases, count: int) -> list[ComponentChange]:
    async with asyncio.timeout(10), contextlib.aclosing(leases.watch(0)) as watch:
        return [await anext(watch) for _ in range(count)]


async def test_a_worker_of_the_short_form_keeps_its_facts(leases: Leases) -> None:
    found = await leases.register(WORKER)
    assert (found.component_type, found.component_id, found.url) == ("worker", "w1", "http://localhost:8080")
    assert found.metadata == {"worker_type": "llm", "model": "m", "spawned_by": "gui"}
    assert found.online is True
    assert found.registered_at is not None
    assert await leases.list() == [found]


async def test_registering_twice_changes_nothing_but_the_last_sight(leases: Leases) -> None:
    first = await leases.register(HIVE)
    second = await leases.register(HIVE)
    assert second.registered_at == first.registered_at
    assert second.last_seen >= first.last_seen
    assert await leases.revision() == 1


async def test_another_instance_is_another_registration(leases: Leases) -> None:
    first = await leases.register(HIVE)
    again = Registration(component_type="hive", component_id="h1", url="http://box:7835", instance_id="i2")
    second = await leases.register(again)
    assert second.registered_at >= first.registered_at
    assert [change.type for change in await changes(leases, 2)] == ["joined", "changed"]


@pytest.mark.parametrize("identity", ["", "a/b", "x" * 201, "line\nbreak"])
async def test_an_unusable_id_is_refused(leases: Leases, identity: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await leases.register(Registration(component_id=identity, url="http://a:1"))
    assert caught.value.param == "component_id"


@pytest.mark.parametrize(
    ("address", "param"),
    [({}, "url"), ({"hostname": "a"}, "port"), ({"url": "ftp://a"}, "url"), ({"url": "javascript:alert(1)"}, "url")],
)
async def test_an_unusable_address_is_refused(leases: Leases, address: dict, param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await leases.register(Registration(worker_id="w", **address))
    assert caught.value.param == param


async def test_a_lease_ends_without_renewal(leases: Leases, clock) -> None:
    await leases.register(HIVE)
    clock.tick(29)
    await leases.renew(RENEW_HIVE)
    clock.tick(29)
    assert len(await leases.list()) == 1
    clock.tick(1)
    assert await leases.list() == []
    with pytest.raises(NotFoundError, match="register again"):
        await leases.renew(RENEW_HIVE)


async def test_renewing_needs_an_id(leases: Leases) -> None:
    with pytest.raises(InvalidRequestError):
        await leases.renew(LeaseRenewal())


async def test_dropping_is_told_and_harmless_when_repeated(leases: Leases) -> None:
    await leases.register(HIVE)
    await leases.drop(RENEW_HIVE)
    await leases.drop(RENEW_HIVE)
    assert await leases.list() == []
    left = (await changes(leases, 2))[1]
    assert (left.type, left.component.component_id, left.component.online) == ("left", "h1", False)


async def test_an_old_instance_cannot_end_the_lease_of_a_new_one(leases: Leases) -> None:
    await leases.register(HIVE)
    await leases.drop(LeaseRenewal(component_type="hive", component_id="h1", instance_id="older"))
    assert len(await leases.list()) == 1


async def test_lists_know_the_types_apart(leases: Leases) -> None:
    await leases.register(WORKER)
    await leases.register(HIVE)
    await leases.register(Registration(component_type="worker", component_id="h1", url="http://a:1"))
    assert [one.component_id for one in await leases.list("hive")] == ["h1"]
    assert [one.component_id for one in await leases.list("worker")] == ["h1", "w1"]
    assert await leases.list("queen") == []


async def test_an_id_that_begins_like_another_is_not_that_one(leases: Leases) -> None:
    await leases.register(Registration(worker_id="w10", url="http://a:10", instance_id="ten"))
    await leases.drop(LeaseRenewal(worker_id="w1"))
    assert [one.component_id for one in await leases.list()] == ["w10"]


async def test_an_old_instance_cannot_keep_the_lease_of_a_new_one(leases: Leases, clock) -> None:
    await leases.register(HIVE)
    clock.tick(20)
    with pytest.raises(NotFoundError, match="another instance"):
        await leases.renew(LeaseRenewal(component_type="hive", component_id="h1", instance_id="older"))
    clock.tick(20)
    assert await leases.list() == []


async def test_a_renewal_without_an_instance_is_of_whoever_is_there(leases: Leases, clock) -> None:
    await leases.register(HIVE)
    clock.tick(20)
    await leases.renew(LeaseRenewal(component_type="hive", component_id="h1"))
    clock.tick(20)
    assert len(await leases.list()) == 1


def hive(instance: str | None, port: int = 7835) -> Registration:
    return Registration(component_type="hive", component_id="h1", url=f"http://box:{port}", instance_id=instance)


def renewal(instance: str) -> LeaseRenewal:
    return LeaseRenewal(component_type="hive", component_id="h1", instance_id=instance)


async def test_of_two_that_go_by_one_id_the_one_that_came_last_is_kept_and_the_other_refused(
    leases: Leases, clock
) -> None:
    await leases.register(hive("i1"))
    assert (await leases.register(hive("i2", 7836))).url == "http://box:7836", "one that was started anew is in at once"
    for _ in range(4):
        clock.tick(15)
        await leases.renew(renewal("i2"))
        with pytest.raises(NotFoundError):
            await leases.renew(renewal("i1"))
        with pytest.raises(ConflictError, match=r"'hive/h1' is in use by a process that was started later.*:7836"):
            await leases.register(hive("i1"))
    assert [one.instance_id for one in await leases.list()] == ["i2"]
    assert len(await changes(leases, 2)) == await leases.revision() == 2
    clock.tick(30)
    assert (await leases.register(hive("i1"))).instance_id == "i1", "the other renews no longer"


async def test_of_three_that_go_by_one_id_none_comes_back(leases: Leases) -> None:
    for instance in ("i1", "i2", "i3"):
        await leases.register(hive(instance))
    for instance in ("i1", "i2"):
        with pytest.raises(ConflictError):
            await leases.register(hive(instance))


async def test_a_spawner_that_knows_no_instance_shuts_nobody_out(leases: Leases) -> None:
    await leases.register(hive("i1"))
    await leases.register(hive(None))
    assert (await leases.register(hive("i1"))).instance_id == "i1"


async def test_what_is_kept_for_conflicts_is_not_told(leases: Leases) -> None:
    await leases.register(hive("i1"))
    told = await leases.register(hive("i2"))
    assert [type(one) for one in (told, *await leases.list())] == [Component, Component]


async def test_leases_that_ended_unseen_take_no_room(leases: Leases, monkeypatch: pytest.MonkeyPatch) -> None:
    now = utc_now()
    for number in range(2000):
        monkeypatch.setattr(
            "rbee.presence.leases.utc_now", lambda now=now, number=number: now + timedelta(seconds=number)
        )
        await leases.register(Registration(worker_id=f"w{number}", url="http://a:1"))
    assert len(leases._last_seen) <= 256
