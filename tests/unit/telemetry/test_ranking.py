"""The lowest key at once, whatever has changed before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rbee.telemetry.ranking import Ranking

STEPS = st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | st.integers(0, 4)), max_size=60)


@given(STEPS)
def test_the_first_is_always_that_of_a_full_search(steps: list[tuple[str, int | None]]) -> None:
    ranking: Ranking[int] = Ranking()
    model: dict[str, int] = {}
    for item, key in steps:
        if key is None:
            ranking.discard(item)
            model.pop(item, None)
        else:
            ranking.put(item, key)
            model[item] = key
        first = min(((key, item) for item, key in model.items()), default=None)
        assert ranking.first() == (first[1] if first else None)
        assert set(ranking.ids()) == set(model)


@given(STEPS, st.integers(-1, 5))
def test_what_is_due_is_taken_once_and_in_order(steps: list[tuple[str, int | None]], limit: int) -> None:
    ranking: Ranking[int] = Ranking()
    model: dict[str, int] = {}
    for item, key in steps:
        ranking.put(item, key or 0)
        model[item] = key or 0
    due = [item for key, item in sorted((key, item) for item, key in model.items()) if key <= limit]
    assert ranking.take_up_to(limit) == due
    assert ranking.take_up_to(limit) == []
    assert set(ranking.ids()) == set(model) - set(due)


def test_places_left_behind_do_not_pile_up() -> None:
    ranking: Ranking[int] = Ranking()
    ranking.put("low", -1)
    for number in range(10_000):
        ranking.put("restless", number)
    assert len(ranking._heap) <= 2 * len(tuple(ranking.ids())) + 65
    assert ranking.first() == "low"
