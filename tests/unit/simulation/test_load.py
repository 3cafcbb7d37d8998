"""Loads: lengths, models and what may not stand in them."""

from __future__ import annotations

import random
import statistics

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.scheduler import estimate
from rbee.simulation import Arrivals, Length, Load
from unit.simulation.building import load, model


def drawn(length: Length, count: int = 4000) -> list[int]:
    dice = random.Random(7)
    return sorted(length.draw(dice) for _ in range(count))


def test_half_are_shorter_than_the_median_and_95_of_100_than_p95() -> None:
    found = drawn(Length(median=200, p95=1500))
    assert statistics.median(found) == pytest.approx(200, rel=0.1)
    assert found[int(len(found) * 0.95)] == pytest.approx(1500, rel=0.15)


def test_a_median_alone_is_one_length_and_bounds_alone_are_even() -> None:
    assert set(drawn(Length(median=9))) == {9}
    found = drawn(Length(least=10, most=19))
    assert (found[0], found[-1]) == (10, 19)
    assert statistics.mean(found) == pytest.approx(14.5, rel=0.05)


@given(least=st.integers(1, 100), more=st.integers(0, 1000), median=st.integers(1, 2000), seed=st.integers())
def test_no_length_is_beyond_its_bounds(least: int, more: int, median: int, seed: int) -> None:
    length = Length(least=least, most=least + more, median=median, p95=median * 3)
    assert least <= length.draw(random.Random(seed)) <= least + more


def test_copies_are_models_of_their_own() -> None:
    found = model("m", copies=3)
    assert found.names() == ("m-1", "m-2", "m-3")
    assert found.variant("m-2").model_id == "m-2"
    assert estimate(found.variant("m-2")).weights_bytes == 4 * 2**30


def test_figures_make_the_estimate_of_memory_better() -> None:
    figures = {"layers": 32, "heads": 32, "kv_heads": 8, "embedding_length": 4096, "vocabulary": 128_000}
    found = msgspec.convert({"name": "m", "weights_gib": 4, "figures": figures}, type(model()))
    assert estimate(found.variant("m")).rough is False
    assert estimate(model().variant("m")).rough is True


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Length(least=5, most=4),
        lambda: Length(p95=5),
        lambda: Length(median=6, p95=5),
        Arrivals,
        lambda: Arrivals(rate=1, recorded="x"),
        lambda: Arrivals(rate=1, daily=(0, 0)),
        lambda: load(warmup_s=60),
        lambda: load(model(share=0)),
    ],
)
def test_what_contradicts_itself_is_refused(wrong) -> None:  # type: ignore[no-untyped-def]  # lambdas of many types
    with pytest.raises(ValueError):
        wrong()


def test_all_shares_may_be_nothing_where_zipf_gives_them() -> None:
    assert isinstance(load(model(share=0), zipf=1.0), Load)
