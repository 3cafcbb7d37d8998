"""The index of amounts against a dictionary."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rbee.telemetry.levels import Levels


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.none() | st.integers(0, 5)), max_size=40))
def test_it_always_equals_a_full_search(steps: list[tuple[str, int | None]]) -> None:
    levels, model = Levels(), {}
    for item, amount in steps:
        levels.put(item, amount)
        model[item] = amount
        for least in range(7):
            found = list(levels.at_least(least))
            assert sorted(found) == sorted(name for name, held in model.items() if held is not None and held >= least)
            assert [model[name] for name in found] == sorted(model[name] for name in found)
