"""Who waits is called in his turn, and each key has its share."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rbee.contract.errors import AllSlotsBusyError, QueueFullError
from rbee.gateway import Queued, Traits
from rbee.queen.fairness import Flow
from rbee.queen.pace import Pace
from rbee.queen.turns import Turn
from rbee.queen.waiting import Called, WaitingRoom
from rbee.scheduler import Wish

ANY = Wish()


class Crowd:
    def __init__(self, room: WaitingRoom) -> None:
        self.room = room
        self.called: list[str] = []
        self.places: dict[str, Called] = {}

    async def come(
        self,
        name: str,
        *,
        again: bool = False,
        model: str = "m",
        any_of: tuple[str, ...] = (),
        wish: Wish = ANY,
        **more: Any,
    ) -> asyncio.Task[None]:
        async def wait() -> None:
            place = self.places[name] if again else None
            deadline = asyncio.get_running_loop().time() + 10
            self.places[name] = await self.room.wait(any_of or (model,), deadline, wish=wish, turn=place, **more)
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
    assert list(crowd.room.earlier("m", crowd.places["a"])) == []
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


async def serve(crowd: Crowd, times: int, model: str = "m") -> list[str]:
    """Whoever is called is served."""
    for _ in range(times):
        before = len(crowd.called)
        crowd.room.wake(model)
        await settle()
        for name in crowd.called[before:]:
            crowd.room.served(crowd.places[name])
    return crowd.called


async def test_one_with_few_requests_is_not_behind_all_of_one_with_many() -> None:
    crowd = Crowd(WaitingRoom(99))
    for number in range(20):
        await crowd.come(f"many{number}", flow=Flow("many"), cost=100)
    await serve(crowd, 2)
    await crowd.come("few", flow=Flow("few"), cost=100)
    await serve(crowd, 2)
    assert "few" in crowd.called
    await serve(crowd, 20)
    assert [name for name in crowd.called if name != "few"] == [f"many{number}" for number in range(20)]


async def test_interactive_requests_go_before_batch_and_batch_is_not_starved() -> None:
    crowd = Crowd(WaitingRoom(99))
    await crowd.come("first", flow=Flow("k"), cost=100)
    await crowd.come("batch", flow=Flow("k", batch=True), cost=100)
    for number in range(40):
        await crowd.come(f"chat{number}", flow=Flow("k"), cost=100)
    await serve(crowd, 5)
    assert "batch" not in crowd.called
    await serve(crowd, 20)
    assert "batch" in crowd.called


async def test_queues_for_different_wishes_are_served_in_turn() -> None:
    crowd = Crowd(WaitingRoom(99))
    for number in range(5):
        await crowd.come(f"a{number}", wish=Wish(capability="chat"))
    await crowd.come("b", wish=Wish(capability="completions"))
    crowd.room.wake("m")
    await settle()
    assert crowd.called == ["a0", "b"]
    crowd.room.served(crowd.places["a0"])
    # The queue of a0 has had its turn: b, who was called in vain, goes before a1.
    assert list(crowd.room.earlier("m", crowd.places["b"])) == []


async def test_places_are_told_at_once_and_again_when_they_have_changed(monkeypatch) -> None:
    monkeypatch.setattr("rbee.queen.waiting._TELL_S", 0.0)
    crowd = Crowd(WaitingRoom(9))
    told: dict[str, list[Queued]] = {name: [] for name in "abc"}
    for name in "abc":
        await crowd.come(name, told=told[name].append)
    assert {name: places[0].position for name, places in told.items()} == {"a": 1, "b": 2, "c": 3}
    assert told["a"][0].expected_s is None
    await serve(crowd, 2)
    crowd.room.wake("x")
    await serve(crowd, 0)
    assert [place.position for place in told["c"]][-1] == 2
    await crowd.come("d", told=told["a"].append)
    assert told["a"][-1].position == 2
    assert told["a"][-1].expected_s is not None


async def test_a_full_room_says_when_it_will_have_been_served() -> None:
    crowd = Crowd(WaitingRoom(2))
    await crowd.come("a")
    await crowd.come("b")
    with pytest.raises(QueueFullError) as caught:
        await crowd.room.wait(("m",), 0.0)
    assert caught.value.retry_after_s == 10
    pace = Pace()
    for moment in (0.0, 20.0, 40.0):
        pace.served(moment)
    crowd.room._paces[("m",)] = pace
    with pytest.raises(QueueFullError) as caught:
        await crowd.room.wait(("m",), 0.0)
    assert caught.value.retry_after_s == 40


async def test_one_who_was_called_in_vain_is_before_all_who_come_new_though_he_was_alone() -> None:
    crowd = Crowd(WaitingRoom(9))
    await crowd.come("before")
    await crowd.come("a")
    await serve(crowd, 1)
    crowd.room.wake("m")
    await settle()
    assert crowd.called == ["before", "a"]
    # Nobody waits any more, and he comes back to an empty room.
    await crowd.come("a", again=True)
    for name in "bc":
        await crowd.come(name)
    await serve(crowd, 3)
    assert crowd.called[2:] == ["a", "b", "c"]


@pytest.mark.parametrize("how", ["out of patience", "gone"])
async def test_who_gave_up_waiting_stands_where_he_stood_when_he_comes_again(how: str) -> None:
    crowd = Crowd(WaitingRoom(99))
    polite, greedy = Flow("polite"), Flow("greedy")
    for number in range(6):
        await crowd.come(f"greedy {number}", flow=greedy)
    for _ in range(6):
        if how == "gone":
            task = await crowd.come("polite", flow=polite)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        else:
            with pytest.raises(AllSlotsBusyError):
                await crowd.room.wait(("m",), asyncio.get_running_loop().time(), flow=polite)
    await crowd.come("polite", flow=polite)
    await serve(crowd, 2)
    assert crowd.called == ["greedy 0", "polite"]


async def test_who_was_called_and_went_without_a_slot_stands_where_he_stood() -> None:
    room = WaitingRoom(99)
    crowd = Crowd(room)
    polite = Traits(key="polite", max_tokens=1024)
    # Each who goes without a slot calls one of them: some are left.
    for number in range(8):
        await crowd.come(f"greedy {number}", flow=Flow("greedy"), cost=1e9)
    for _ in range(6):
        turn = Turn(room, ("m",), ANY, 10.0, polite)
        waits = asyncio.create_task(turn.wait())
        await asyncio.sleep(0)
        room.wake("m")
        await asyncio.wait_for(waits, 5)
        turn.pass_on()
        await settle()
    (queue,) = room._queues.values()
    assert queue.clock.ticket(Flow("polite"), 16) < queue.clock.ticket(Flow("new"), 32)
