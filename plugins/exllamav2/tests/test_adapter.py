"""Both engines over libraries that look like the real ones: requests, events, settings, constraints, cancelling."""

from __future__ import annotations

import math
import os
import random
import sys

import numpy as np
import pytest
from rbee.contract.errors import ContextLengthError, EngineUnavailableError
from rbee.contract.token_engine import Sampling, TokenRequest
from rbee.contract.tokenizer import Constraint
from rbee.testing.conformance import TokenEngineContract
from rbee_exllamav2 import ExLlamaV2Engine, ExLlamaV3Engine
from toy import HELD, toy_answer, toy_logits

SIZE = 257
ENGINES = {engine.name: engine for engine in (ExLlamaV2Engine, ExLlamaV3Engine)}
GREEDY = Sampling(temperature=0.0)


@pytest.mark.usefixtures("fake")
class TestOverALibraryThatLooksReal(TokenEngineContract):
    @pytest.fixture
    def engine_class(self, which):
        return ENGINES[which]

    @pytest.fixture
    def load_spec(self, make_spec):
        return make_spec()


def request(name="a", prompt=(3, 4, 5), max_tokens=6, **more):
    return TokenRequest(
        request_id=name, prompt=tuple(prompt), max_tokens=max_tokens, sampling=more.pop("sampling", GREEDY), **more
    )


def drive(engine, *names, steps=2000):
    """All events by request, until each has ended."""
    events = {name: [] for name in names}
    waiting = set(names)
    for _ in range(steps):
        if not waiting:
            return events
        for event in engine.step():
            events[event.request_id].append(event)
            if event.finish:
                waiting.discard(event.request_id)
    raise AssertionError(f"{waiting} did not end")


def tokens_of(events):
    return [event.token for event in events if event.token is not None]


def run(engine, asked):
    engine.add(asked)
    return drive(engine, asked.request_id)[asked.request_id]


class Only(Constraint):
    """Lets one token come after the other, and remembers who asked."""

    def __init__(self, *tokens):
        self.tokens = tokens
        self.asked = []

    def mask(self, generated):
        assert list(generated) == list(self.tokens[: len(generated)])
        self.asked.append(len(generated))
        bits = np.zeros((SIZE + 31) // 32 * 32, dtype=np.uint8)
        bits[self.tokens[len(generated)]] = 1
        return np.packbits(bits, bitorder="little").tobytes()


def test_what_is_loaded_is_told(loaded):
    assert loaded.model.context_length == 500
    assert loaded.model.tokenizer.size == SIZE
    status = loaded.status()
    assert (status.slots_total, status.slots_busy, status.queue_depth) == (2, 0, 0)
    assert "loading the model: 12 of 12 parts" in loaded.told
    assert len(loaded.told) < 20  # not one for each part of a large model


def test_the_process_sees_the_workers_card_alone_and_keeps_its_threads(loaded, fake):
    assert (os.environ["CUDA_VISIBLE_DEVICES"], os.environ["CUDA_DEVICE_ORDER"]) == ("0", "PCI_BUS_ID")
    assert fake.torch.threads == 1


def test_a_request_gets_its_tokens_one_by_one_and_ends_at_its_length(loaded):
    events = run(loaded, request(max_tokens=6))
    assert tokens_of(events) == toy_answer([5], 6, SIZE)
    assert [event.finish for event in events[:-1]] == [None] * (len(events) - 1)
    assert events[-1].finish == "length"
    assert loaded.status().slots_busy == 0


def test_the_token_that_ends_an_answer_comes_with_the_end(loaded):
    before = next(token for token in range(SIZE) if (3 * token + 1) % SIZE == 256)
    first = next(token for token in range(SIZE) if (3 * token + 1) % SIZE == before)
    events = run(loaded, request(prompt=(1, first), max_tokens=50))
    assert tokens_of(events) == [before, 256]
    assert events[-1].finish == "stop"


def test_tokens_that_the_library_holds_back_come_together_afterwards(loaded):
    before = next(token for token in range(SIZE) if (3 * token + 1) % SIZE == HELD)
    loaded.add(request(prompt=(before,), max_tokens=4))
    assert tokens_of(loaded.step()) == []
    assert tokens_of(loaded.step()) == toy_answer([before], 2, SIZE)
    assert tokens_of(drive(loaded, "a")["a"]) == toy_answer([before], 4, SIZE)[2:]


def test_prompts_tell_how_far_they_are(loaded):
    events = run(loaded, request(prompt=range(1, 11), max_tokens=2))
    assert [event.prompt_done for event in events] == [4, 8, 9, 10, None]
    assert [event.cached for event in events] == [None, None, None, 0, None]
    assert loaded.status().prompt_tokens == 10


def test_tokens_from_the_cache_are_counted(loaded):
    loaded.generator.remembered = 260
    events = run(loaded, request(prompt=[7] * 300, max_tokens=2))
    assert [event.cached for event in events if event.cached is not None] == [260]
    status = loaded.status()
    assert (status.prompt_tokens, status.cached_tokens, status.tokens_generated) == (300, 260, 2)


def test_several_requests_are_answered_side_by_side(loaded):
    for number in range(4):
        loaded.add(request(f"r{number}", prompt=(number, number + 20), max_tokens=5 + number))
    loaded.step()
    status = loaded.status()
    assert (status.slots_total, status.slots_busy, status.queue_depth) == (2, 2, 2)
    events = drive(loaded, "r0", "r1", "r2", "r3")
    # The events of the first step are gone.
    for number in range(2, 4):
        assert tokens_of(events[f"r{number}"]) == toy_answer([number + 20], 5 + number, SIZE)


def test_a_removed_request_is_gone_at_once_and_the_others_go_on(loaded):
    loaded.add(request("a", max_tokens=400))
    loaded.add(request("b", max_tokens=5))
    loaded.step()
    loaded.remove("a")
    assert [job.identifier for job in loaded.generator.active] == ["b"]
    assert loaded.status().slots_busy == 1
    assert {event.request_id for event in loaded.step()} == {"b"}
    loaded.remove("a")
    loaded.remove("nobody")
    assert drive(loaded, "b")["b"][-1].finish == "length"
    loaded.remove("b")


def test_a_request_that_waits_can_be_removed(loaded):
    for name in "abc":
        loaded.add(request(name, max_tokens=50))
    loaded.step()
    loaded.remove("c")
    assert loaded.generator.pending == []
    assert loaded.status().queue_depth == 0


def test_a_request_larger_than_the_cache_is_refused_and_leaves_nothing(loaded):
    with pytest.raises(ContextLengthError, match="does not fit the cache: Job requires 20 pages"):
        loaded.add(request(max_tokens=5000, constraint=Only(1)))
    assert loaded.status().slots_busy == 0
    assert tokens_of(run(loaded, request())) == toy_answer([5], 6, SIZE)


@pytest.mark.parametrize("which", ["exllamav3"], indirect=True)  # the other raises from iterate itself
def test_what_the_library_raises_for_a_request_ends_the_engine(loaded):
    loaded.add(request())
    loaded.generator.failure = RuntimeError("a kernel failed")
    with pytest.raises(RuntimeError, match="a kernel failed"):
        loaded.step()


def test_a_constraint_is_kept_and_asked_once_a_token(loaded):
    only = Only(10, 200, 31, 32, 256)
    events = run(loaded, request(constraint=only, max_tokens=50))
    assert tokens_of(events) == [10, 200, 31, 32, 256]
    assert events[-1].finish == "stop"
    assert only.asked == [0, 1, 2, 3, 4]


def test_log_probabilities_are_the_models_own(loaded):
    asked = request(max_tokens=3, top_logprobs=2, sampling=Sampling(temperature=0.5, repetition_penalty=1.5))
    last = 5
    for event in [event for event in run(loaded, asked) if event.token is not None]:
        logits = toy_logits(last, SIZE).astype(np.float64)
        expected = logits - logits.max() - math.log(np.exp(logits - logits.max()).sum())
        assert event.logprob == pytest.approx(expected[event.token], abs=1e-5)
        assert [token for token, _ in event.top] == [(3 * last + 1) % SIZE, (3 * last + 2) % SIZE]
        assert [share for _, share in event.top] == pytest.approx(sorted(expected)[:-3:-1], abs=1e-5)
        last = event.token


def test_the_drawn_tokens_log_probability_alone_can_be_asked_for(loaded):
    events = run(loaded, request(max_tokens=2, top_logprobs=0))
    assert all(event.logprob < 0 and event.top == () for event in events if event.token is not None)


def test_nothing_is_computed_that_was_not_asked_for(loaded):
    loaded.add(request())
    job = loaded._running["a"].job
    assert not job.more.get("return_logits")
    assert not job.more.get("return_probs")
    assert job.filters == []
    assert all(event.logprob is None for event in drive(loaded, "a")["a"])


def test_unloading_releases_everything_and_can_be_repeated(loaded):
    loaded.add(request())
    generation = loaded._generation
    models = list(generation._models)
    loaded.unload()
    loaded.unload()
    assert [model.loaded for model in models] == [None]
    assert loaded.status().slots_total is None
    loaded.remove("a")
    with pytest.raises(EngineUnavailableError, match="no model loaded; call load first"):
        loaded.step()


def test_loading_again_replaces_the_model(loaded, make_spec):
    loaded.add(request())
    assert loaded.load(make_spec(context_length=100), lambda _stage: None).context_length == 100
    assert loaded.status().slots_busy == 0


def test_seeds_and_ends_go_to_the_library(loaded):
    loaded.add(request(sampling=Sampling(seed=42)))
    job = loaded._running["a"].job
    assert job.stop_tokens == {256}
    assert job.rng.random() == random.Random(42).random()
    assert job.identifier == "a"


def test_a_request_that_ignores_ends_goes_on_behind_them(loaded):
    before = next(token for token in range(SIZE) if (3 * token + 1) % SIZE == 256)
    events = run(loaded, request(prompt=(1, before), max_tokens=5, ignore_ends=True))
    assert tokens_of(events) == toy_answer([before], 5, SIZE)
    assert tokens_of(events)[0] == 256
    assert events[-1].finish == "length"


def test_only_the_library_of_the_engine_is_imported(loaded, which):
    other = {"exllamav2": "exllamav3", "exllamav3": "exllamav2"}[which]
    assert other not in sys.modules
