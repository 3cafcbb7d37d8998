"""First come, first served."""

from __future__ import annotations

import asyncio

import pytest
from rbee.contract.errors import AllSlotsBusyError, QueueFullError
from rbee.queen.waiting import WaitingRoom
from rbee.scheduler import Wish

ANY = Wish()


class Crowd:
    def __init__(self, room: WaitingRoom) -> None:
        self.room = room
        self.called: list[str] = []
        self.tickets: dict[str, int] = {}

    async def come(
        self, name: str, *, again: bool = False, model: str = "m", any_of: tuple[str, ...] = (), wish: Wish = ANY
    ) -> asyncio.Task[None]:
        async def wait() -> None:
            ticket = self.tickets[name] if again else None
            deadline = asyncio.get_running_loop().time() + 10
            self.tickets[name] = await self.room.wait(any_of or (model,), deadline, wish=wish, ticket=ticket)
            self.called.append(name)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        return task


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_they_are_called_in_the_order_they_came() -> None:
    crowd = Crowd(WaitingRoom(9))
    for name in "abc":
        await crowd.come(name)
    assert crowd.room.depth(("m",)) == 3
    for _ in range(4):
        crowd.room.wake("m")
        await settle()
    assert crowd.called == ["a", "b", "c"]
    assert crowd.room.depth(("m",)) == 0


async def test_one_who_was_called_in_vain_keeps_his_place() -> None:
    crowd = Crowd(WaitingRoom(3))
    for name in "abc":
        await crowd.come(name)
    crowd.room.wake("m")
    await settle()
    # The room is full: he who was in it stays in it.
    await crowd.come("d")
    await crowd.come("a", again=True)
    for _ in range(4):
        crowd.room.wake_all()
        await settle()
    assert crowd.called == ["a", "a", "b", "c", "d"]


async def test_the_first_of_each_wish_is_called_and_those_behind_him_are_not() -> None:
    crowd = Crowd(WaitingRoom(9))
    there, here = Wish(worker_id="there"), Wish(worker_id="here")
    await crowd.come("a", wish=there)
    await crowd.come("b", wish=there)
    await crowd.come("c", wish=here)
    crowd.room.wake("m")
    await settle()
    assert crowd.called == ["a", "c"]
    await crowd.come("a", again=True, wish=there)
    crowd.room.wake("m")
    await settle()
    assert crowd.called == ["a", "c", "a"]
    assert list(crowd.room.earlier("m", None)) == [there]
    assert list(crowd.room.earlier("m", crowd.tickets["a"])) == []
    assert list(crowd.room.earlier("n", None)) == []


async def test_the_room_is_full_whatever_those_in_it_wish() -> None:
    crowd = Crowd(WaitingRoom(2))
    await crowd.come("a", wish=Wish(worker_id="w"))
    await crowd.come("b", wish=Wish(hive_id="h"))
    with pytest.raises(QueueFullError):
        await crowd.room.wait(("m",), 0.0)


async def test_nobody_else_is_called_before_the_one_who_was_called_has_looked() -> None:
    crowd = Crowd(WaitingRoom(9))
    for name in "ab":
        await crowd.come(name)
    for _ in range(3):
        crowd.room.wake("m")
    assert crowd.room.depth(("m",)) == 2
    await settle()
    assert crowd.called == ["a"]
    crowd.room.wake("m")
    await settle()
    assert crowd.called == ["a", "b"]


async def test_models_have_queues_of_their_own() -> None:
    crowd = Crowd(WaitingRoom(1))
    await crowd.come("a", model="m")
    await crowd.come("b", model="n")
    crowd.room.wake("n")
    await settle()
    assert crowd.called == ["b"]
    crowd.room.wake("m")
    await settle()
    assert crowd.called == ["b", "a"]


async def test_a_full_room_takes_nobody() -> None:
    crowd = Crowd(WaitingRoom(1))
    waiting = await crowd.come("a")
    with pytest.raises(QueueFullError, match="max_waiting"):
        await crowd.room.wait(("m",), 0.0)
    waiting.cancel()
    await settle()
    assert crowd.room.depth(("m",)) == 0


async def test_one_who_leaves_is_passed_over() -> None:
    crowd = Crowd(WaitingRoom(9))
    leaves = await crowd.come("a")
    await crowd.come("b")
    leaves.cancel()
    await settle()
    crowd.room.wake("m")
    await settle()
    assert crowd.called == ["b"]


async def test_one_who_leaves_as_he_is_called_passes_the_call_on() -> None:
    crowd = Crowd(WaitingRoom(9))
    leaves = await crowd.come("a")
    await crowd.come("b")
    crowd.room.wake("m")
    leaves.cancel()
    await settle()
    assert crowd.called == ["b"]


async def test_the_deadline_ends_the_wait() -> None:
    room = WaitingRoom(9)
    with pytest.raises(AllSlotsBusyError):
        await room.wait(("m",), asyncio.get_running_loop().time())
    assert room.depth(("m",)) == 0


async def test_a_worker_of_any_variant_calls_those_who_would_take_it() -> None:
    crowd = Crowd(WaitingRoom(9))
    await crowd.come("any", any_of=("m", "n"))
    await crowd.come("m alone")
    await crowd.come("n alone", model="n")
    assert [crowd.room.depth((model,)) for model in "mno"] == [2, 2, 0]
    assert crowd.room.depth(("m", "n")) == 3
    crowd.room.wake("n")
    await settle()
    assert crowd.called == ["any", "n alone"], "the first of each queue, who came first before others"
    assert crowd.room.depth(("n",)) == 0
    crowd.room.wake("n")
    crowd.room.wake("m")
    await settle()
    assert crowd.called == ["any", "n alone", "m alone"]
    assert not crowd.room._queues
    assert not crowd.room._by_model
