"""Which beginnings of prompts each worker has lately computed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.queen.prefixes import Prefixes

BLOCKS = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20, unique=True)


def test_nothing_is_known_of_a_worker_that_had_nothing() -> None:
    assert Prefixes().share("w", (1, 2)) == 0.0


def test_a_prompt_without_blocks_has_no_share() -> None:
    prefixes = Prefixes()
    prefixes.computed("w", ())
    prefixes.computed("w", (1,))
    assert prefixes.share("w", ()) == 0.0


@given(BLOCKS, st.data())
def test_the_share_is_that_of_the_common_beginning(blocks: list[int], data: st.DataObject) -> None:
    common = data.draw(st.integers(0, len(blocks)))
    other = blocks[:common] + [-1 - number for number in range(len(blocks) - common)]
    prefixes = Prefixes()
    prefixes.computed("w", blocks)
    assert prefixes.share("w", other) == pytest.approx(common / len(blocks))
    assert prefixes.share("v", other) == 0.0


def test_the_longest_unused_is_forgotten_first_and_of_one_prompt_its_end() -> None:
    prefixes = Prefixes()
    prefixes.computed("w", range(4000))
    prefixes.computed("w", range(10_000, 10_200))
    assert prefixes.share("w", range(10_000, 10_200)) == 1.0
    assert prefixes.share("w", range(4000)) == pytest.approx((4096 - 200) / 4000)


def test_workers_that_are_gone_are_forgotten() -> None:
    prefixes = Prefixes()
    prefixes.computed("w", (1,))
    prefixes.forget(lambda worker_id: worker_id != "w")
    assert prefixes.share("w", (1,)) == 0.0
