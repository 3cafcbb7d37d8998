"""Busy workers get nothing new once somebody has waited his turn for their room."""

from __future__ import annotations

import asyncio

from rbee.queen.yielding import Yielding


def made(turn_s: float = 0.0) -> tuple[Yielding, dict[str, str]]:
    workers = {"a-1": "shelf:a", "a-2": "shelf:a", "c-1": "shelf:c"}
    return Yielding(turn_s, workers.get), workers


async def test_workers_yield_as_long_as_a_claim_is_open_and_the_reason_names_who_waits() -> None:
    yielding, _ = made()
    with yielding.claim("shelf:b") as claim:
        claim.take(["a-1"])
        assert "shelf:b" in (yielding.barred("a-1") or "")
        assert yielding.barred("a-2") is None
        assert (yielding.of(["shelf:a"]), yielding.of(["shelf:c"])) == (True, False)
    assert yielding.barred("a-1") is None
    assert not yielding.of(["shelf:a"])


async def test_of_several_claims_the_last_one_to_end_frees_the_worker() -> None:
    yielding, _ = made()
    with yielding.claim("shelf:b") as first:
        first.take(["a-1"])
        with yielding.claim("shelf:d") as second:
            second.take(["a-1"])
        assert "shelf:b" in (yielding.barred("a-1") or "")
    assert yielding.barred("a-1") is None


async def test_each_change_is_told_apart() -> None:
    yielding, _ = made()
    seen = [yielding.changes]
    with yielding.claim("shelf:b") as claim:
        claim.take(["a-1"])
        seen.append(yielding.changes)
    seen.append(yielding.changes)
    assert len(set(seen)) == len(seen)


async def test_a_worker_that_has_yielded_in_vain_rests_and_one_that_has_gone_is_forgotten() -> None:
    yielding, workers = made()
    with yielding.claim("shelf:b") as claim:
        claim.take(["a-1", "c-1"])
        await asyncio.sleep(0.05)
        del workers["c-1"]
    with yielding.claim("shelf:b") as claim:
        claim.take(["a-1", "c-1"])
        assert yielding.barred("a-1") is None
        assert yielding.barred("c-1") is not None


async def test_the_end_of_a_turn_is_waited_for() -> None:
    yielding, _ = made()
    assert not await yielding.one_ends(0.01)
    with yielding.claim("shelf:b") as claim:
        claim.take(["a-1"])
        waits = asyncio.create_task(yielding.one_ends(5.0))
        await asyncio.sleep(0)
    assert await waits


async def test_a_turn_begins_with_the_waiting() -> None:
    yielding, _ = made(turn_s=5.0)
    with yielding.claim("shelf:b") as claim:
        assert claim.due_in() == 5.0
        await asyncio.sleep(0.01)
        assert claim.due_in() < 5.0


async def test_whose_room_is_not_needed_any_more_serves_again_while_the_model_loads_elsewhere() -> None:
    yielding, _ = made()
    with yielding.claim("shelf:b") as claim:
        claim.take(["a-1", "a-2"])
        claim.keep(("a-2",))
        assert yielding.barred("a-1") is None
        assert yielding.barred("a-2") is not None
    # It did not yield in vain, and owes nobody a rest.
    with yielding.claim("shelf:b") as claim:
        claim.take(["a-1"])
        assert yielding.barred("a-1") is not None
