"""What the simulated queen knows of her workers."""

from __future__ import annotations

import pytest
from rbee.gateway import Traits
from rbee.simulation import Colony
from rbee.simulation.requests import Request
from unit.simulation.building import Watched, fleet, group, load


def request(number: int, at: float = 1.0, session: str | None = None, blocks: tuple[int, ...] = ()) -> Request:
    return Request(number, at, "m", 500, 101, "", Traits(prompt_tokens=500, session=session, blocks=blocks), blocks)


def colony(*given: Request, workers: int = 2) -> Colony:
    return Watched(fleet(group(workers={"m": workers})), load(), given=list(given)).colony


def until(one: Colony, when: float) -> None:
    one.clock.at(when, lambda: None)
    while one.clock.now < when:
        one.step()


def test_a_slot_is_known_as_taken_at_once() -> None:
    one = colony(request(0))
    until(one, 1.01)
    views = {found.view.worker_id: found.view.slots_free for found in one.known.candidates(request(9))}
    assert sorted(views.values()) == [3, 4]


def test_speeds_are_measured_by_answers() -> None:
    one = colony(request(0), workers=1)
    (before,) = one.known.candidates(request(9))
    assert (before.view.prefill_tok_s, before.view.decode_tok_s, before.view.latency_s) == (None, None, None)
    until(one, 5.0)
    (after,) = one.known.candidates(request(9))
    assert after.view.prefill_tok_s == pytest.approx(5000)
    assert after.view.decode_tok_s == pytest.approx(100)
    assert after.view.latency_s == pytest.approx(0.1)


def test_who_had_a_prompt_that_begins_alike_is_known() -> None:
    one = colony(request(0, blocks=(1, 2, 3, 4)))
    until(one, 5.0)
    shares = sorted(found.view.affinity for found in one.known.candidates(request(9, blocks=(1, 2, 8, 9))))
    assert shares == [0.0, 0.5]


def test_the_last_worker_of_a_session_is_known() -> None:
    one = colony(request(0, session="s"))
    until(one, 5.0)
    assert sorted(found.view.sticky for found in one.known.candidates(request(9, session="s"))) == [False, True]
    assert not any(found.view.sticky for found in one.known.candidates(request(9, session="t")))


def test_of_a_model_that_nobody_serves_there_are_no_candidates() -> None:
    stranger = Request(0, 0.0, "x", 1, 1, "", Traits(), ())
    assert colony().known.candidates(stranger) == []


def test_a_worker_that_is_gone_is_no_candidate() -> None:
    one = colony()
    first, second = one.known.candidates(request(0))
    one.known.left(one.known.worker("m", first.view.worker_id))
    assert one.known.candidates(request(0)) == [second]
