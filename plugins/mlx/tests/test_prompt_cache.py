"""What is kept of prompts, over the library's own caches, and how much of it in a worker."""

from __future__ import annotations

import pytest
from rbee_mlx.availability import availability
from rbee_mlx.prompt_cache import PromptCache

WINDOW = 32
SHORT = list(range(100, 120))
LONG = [*SHORT, *range(200, 240)]
"""Longer than the window: the states of its beginning are gone."""
OTHER = [*SHORT, *range(300, 310)]
"""Begins as both do, and has nothing else of the long one."""
MOST = 1024 * 1024
PROMISED = 24 * 1024 * 1024


@pytest.fixture
def layers():
    """Makes the cache of a model of one layer in which a number of tokens were computed."""
    if not (found := availability()).available:
        pytest.skip(found.reason)
    import mlx.core as mx
    from mlx_lm.models.cache import KVCache, RotatingKVCache

    def make(tokens, *, sliding):
        layer = RotatingKVCache(max_size=WINDOW) if sliding else KVCache()
        for _ in tokens:
            layer.update_and_fetch(mx.ones((1, 1, 1, 4)), mx.ones((1, 1, 1, 4)))
        return [layer]

    return make


@pytest.fixture
def kept():
    return PromptCache(MOST)


def found(kept, prompt):
    hit = kept.find(prompt)
    return 0 if hit is None else hit.tokens


@pytest.mark.parametrize("order", [(SHORT, LONG), (LONG, SHORT)])
def test_a_beginning_stays_beside_a_longer_one_that_cannot_be_cut_back_to_it(kept, layers, order):
    for tokens in order:
        kept.keep(tokens, layers(tokens, sliding=True))
    assert len(kept) == 2
    assert found(kept, OTHER) == len(SHORT)
    assert found(kept, [*LONG, 1]) == len(LONG)


@pytest.mark.parametrize("order", [(SHORT, LONG), (LONG, SHORT)])
def test_a_longer_one_that_can_be_cut_back_is_kept_alone(kept, layers, order):
    for tokens in order:
        kept.keep(tokens, layers(tokens, sliding=False))
    assert len(kept) == 1
    assert found(kept, OTHER) == len(SHORT)
    assert found(kept, [*LONG, 1]) == len(LONG)


@pytest.mark.parametrize("sliding", [False, True])
def test_the_same_tokens_are_kept_once(kept, layers, sliding):
    for _ in range(2):
        kept.keep(LONG, layers(LONG, sliding=sliding))
    assert len(kept) == 1
    assert kept.size_bytes == sum(layer.nbytes for layer in layers(LONG, sliding=sliding))


def test_all_of_them_together_stay_within_their_bytes_whatever_can_be_cut_back(layers):
    size = layers(LONG, sliding=True)[0].nbytes
    kept = PromptCache(2 * size)
    for length in range(WINDOW + 1, len(LONG) + 1):
        kept.keep(LONG[:length], layers(LONG[:length], sliding=True))
    assert len(kept) == 2
    assert kept.size_bytes == 2 * size
    assert found(kept, [*LONG, 1]) == len(LONG)


@pytest.fixture
def promised(make_spec):
    """Bytes that a worker is promised; the library's bounds, which are the process's, are as they were at the end."""
    del make_spec  # skips where there is no library
    import mlx.core as mx

    memory, cache = mx.set_memory_limit(PROMISED), mx.set_cache_limit(PROMISED)
    yield PROMISED
    mx.set_memory_limit(memory)
    mx.set_cache_limit(cache)


def test_the_cache_takes_no_more_than_its_share_of_the_memory_that_was_promised(driver, promised):
    one = driver(memory_bytes=promised)
    for number in range(8):
        one.tokens(one.request([10 + number] * 200, max_tokens=2))
    kept = one.engine._batch._kept
    assert promised // 16 < kept.size_bytes <= promised // 8
    assert len(kept) < 8
    (events,) = one.run(one.request([17] * 200, max_tokens=2))
    assert events[0].cached == 199
