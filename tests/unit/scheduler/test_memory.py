"""What a worker will need, by its model's figures."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.contract import ModelFile, ModelVariant
from rbee.contract.figures import ModelFigures
from rbee.scheduler import estimate, shared

MIB, GIB = 2**20, 2**30
EIGHT_BILLION = ModelFigures(
    architecture="llama",
    parameters=8_030_261_248,
    quantization="Q4_K_M",
    context_length=131_072,
    layers=32,
    embedding_length=4096,
    heads=32,
    kv_heads=8,
    key_length=128,
    value_length=128,
    vocabulary=128_256,
    weights_bytes=4_912_898_304,
)


def variant(figures: ModelFigures | None = None, size_bytes: int | None = 5 * GIB, **more: Any) -> ModelVariant:
    files = (ModelFile(name="f", size_bytes=size_bytes),)
    return ModelVariant(model_id="m", name="m", vendor="v", format="blob", files=files, figures=figures, **more)


def test_the_parts_of_a_well_known_model_are_as_engines_tell_them() -> None:
    found = estimate(variant(EIGHT_BILLION), context_length=8192)
    assert found.weights_bytes == 4_912_898_304
    assert found.cache_bytes == GIB
    # Engines tell 258.5 MiB for the buffers of such a batch; the process comes on top.
    assert found.overhead_bytes == 128 * MIB + 512 * 4 * (128_256 + 4 * 4096)
    assert found.total_bytes == found.weights_bytes + found.cache_bytes + found.overhead_bytes
    assert (found.rough, found.context_length, found.slots) == (False, 8192, 1)


def test_the_cache_grows_with_context_and_slots() -> None:
    assert estimate(variant(EIGHT_BILLION), 4096, 6).cache_bytes == 3 * GIB


@pytest.mark.parametrize(
    ("wanted", "own", "tokens"),
    [(None, 131_072, 8192), (None, 2048, 2048), (None, None, 8192), (32_768, 131_072, 32_768), (32_768, 2048, 2048)],
)
def test_the_context_is_what_is_wanted_or_a_default_and_never_beyond_the_models_own(
    wanted: int | None, own: int | None, tokens: int
) -> None:
    figures = msgspec.structs.replace(EIGHT_BILLION, context_length=own)
    assert estimate(variant(figures), wanted).context_length == tokens
    assert estimate(variant(context_length=own), wanted).context_length == tokens


def test_what_a_model_does_not_say_is_what_models_of_its_kind_do() -> None:
    terse = msgspec.structs.replace(EIGHT_BILLION, kv_heads=None, key_length=None, value_length=None)
    assert estimate(variant(terse), 8192).cache_bytes == 4 * GIB, "keys and values for all 32 heads of 4096 / 32"


@pytest.mark.parametrize("missing", ["layers", "heads"])
def test_without_figures_for_the_cache_the_total_is_rough(missing: str) -> None:
    dropped = {missing: None, "kv_heads": None, "key_length": None, "value_length": None}
    figures = msgspec.structs.replace(EIGHT_BILLION, weights_bytes=None, **dropped)
    found = estimate(variant(figures))
    assert (found.weights_bytes, found.cache_bytes, found.overhead_bytes) == (5 * GIB, None, None)
    assert (found.total_bytes, found.rough) == (6 * GIB, True)
    assert estimate(variant()).total_bytes == 6 * GIB


def test_without_any_size_nothing_is_claimed() -> None:
    figures = msgspec.structs.replace(EIGHT_BILLION, weights_bytes=None)
    found = estimate(variant(figures, size_bytes=None))
    assert (found.weights_bytes, found.cache_bytes, found.total_bytes) == (None, GIB, None)


def test_unknown_widths_cost_a_twentieth_of_the_weights() -> None:
    figures = msgspec.structs.replace(EIGHT_BILLION, vocabulary=None, weights_bytes=2000 * MIB)
    assert estimate(variant(figures)).overhead_bytes == 228 * MIB


def test_what_is_known_of_one_variant_serves_the_others_but_for_their_weights() -> None:
    other = estimate(variant(shared(EIGHT_BILLION), size_bytes=9 * GIB), 8192)
    assert (other.weights_bytes, other.cache_bytes, other.rough) == (9 * GIB, GIB, False)


FIGURE = st.none() | st.integers(-(2**70), 2**70)


@given(
    st.builds(
        ModelFigures,
        layers=FIGURE, heads=FIGURE, kv_heads=FIGURE, key_length=FIGURE, value_length=FIGURE, vocabulary=FIGURE,
        embedding_length=FIGURE, weights_bytes=FIGURE, context_length=FIGURE,
    ),
    st.none() | st.integers(16, 16_777_216),
    st.integers(1, 1024),
)  # fmt: skip
def test_figures_that_nobody_can_mean_give_numbers_that_can_be_sent(
    figures: ModelFigures, tokens: int | None, slots: int
) -> None:
    found = estimate(variant(figures), tokens, slots)
    assert msgspec.json.decode(msgspec.json.encode(found))["slots"] == slots
    for part in (found.weights_bytes, found.cache_bytes, found.overhead_bytes, found.total_bytes):
        assert part is None or 0 <= part < 2**64


def test_a_model_without_files_of_its_own_has_no_known_size() -> None:
    found = estimate(msgspec.structs.replace(variant(), files=()))
    assert (found.weights_bytes, found.total_bytes, found.rough) == (None, None, True)
    assert estimate(msgspec.structs.replace(variant(EIGHT_BILLION), files=())).weights_bytes == 4_912_898_304
