"""Runs the adapter over one of the real libraries, without CUDA: ``python real_library.py exllamav2 FOLDER``.

Real are configuration, tokenizer, cache, generator, jobs, page table, filters and sampler.  What CUDA would do is
replaced: the compiled extension by a few functions in Python, loading by nothing, and the model's computation by the
toy's.  Writes ``passed`` and the checks; whatever goes wrong is an exception.
"""

from __future__ import annotations

import math
import sys
import threading
from pathlib import Path
from types import ModuleType
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pytest
import torch
from rbee.contract import Availability, Backend, LoadSpec, ModelVariant
from rbee.contract.errors import ContextLengthError
from rbee.contract.token_engine import Sampling, TokenRequest
from rbee.contract.tokenizer import Constraint
from rbee_exllamav2 import ExLlamaV2Engine, ExLlamaV3Engine, engine
from toy import toy_answer, toy_logits

SIZE = 2048
END = 2
BEFORE_END = 683


def count_match(sequence, ids, most):
    a, b = sequence[0, :most], ids[0, :most]
    length = min(a.shape[0], b.shape[0])
    same = (a[:length] == b[:length]).int()
    return int(same.cumprod(0).sum())


def logits_of(model, tokens):
    """Of shape (rows, n, SIZE) for tokens of shape (rows, n); a model that guesses is wrong after every third token."""
    off = [1 if getattr(model, "guesses", False) and token % 3 == 0 else 0 for token in range(SIZE)]
    rows = [[toy_logits(token + off[token], SIZE) for token in row] for row in tokens.tolist()]
    return torch.from_numpy(np.array(rows))


def extension_v2():
    made = ModuleType("exllamav2_ext")

    def sample_basic(logits, temperature, top_k, *rest):
        random, output_tokens, output_probs = rest[5], rest[6], rest[7]
        assert logits.dtype == torch.float
        assert logits.is_contiguous()
        shares = torch.softmax(logits[0, 0] / temperature, dim=-1)
        sums = shares.cumsum(0)
        token = shares.argmax() if top_k == 1 else (sums < random * float(sums[-1])).sum()
        output_tokens[0, 0] = token
        output_probs[0, 0] = shares[token]
        return []

    made.sample_basic = sample_basic
    made.count_match = count_match
    return made


class ExtensionV3(mock.MagicMock):
    FUSED_SAMPLER_MAX_BLOCKS = 4
    FUSED_SAMPLER_HIST_STRIDE = 4

    @staticmethod
    def count_match_tensor(sequence, ids, most):
        return count_match(sequence, ids, most)

    @staticmethod
    def generator_stage_decode(arena, width, tables, places, _rope, ids, sequences, pages, offsets):
        rows = len(places)
        for row in range(rows):
            arena[row * width : row * width + tables[row].numel()] = tables[row].view(-1)
            arena[rows * width + row] = places[row]
            if ids is not None:
                token = sequences[row][0, places[row]]
                ids[row, 0] = token
                pages[row][0, offsets[row]] = token

    @staticmethod
    def fused_sampler(logits, mask, bits, sample, _workspace, size, inv_temp, *rest):
        mode = rest[2]
        assert mask is None
        values = logits.float().clone() * inv_temp
        values[..., size:] = -float("inf")
        if bits is not None:
            values += ExtensionV3.dense(bits, values.shape[-1])
        if mode == 0:
            sample.copy_(values.argmax(-1, keepdim=True))
        else:
            generator = torch.Generator().manual_seed(rest[1])
            sample.copy_(torch.multinomial(torch.softmax(values, -1), 1, generator=generator))

    @staticmethod
    def dense(bits, size):
        allowed = np.unpackbits(bits.view(-1).numpy().view(np.uint8), bitorder="little")[:size]
        return torch.from_numpy(np.where(allowed, 0.0, -np.inf).astype(np.float32))

    @staticmethod
    def apply_logit_bitmask(logits, masked, bits):
        masked.copy_(logits + ExtensionV3.dense(bits, logits.shape[-1]))

    @staticmethod
    def apply_rep_pens(logits, result, past, factor, _sustain, _decay):
        result.copy_(logits)
        seen = past[0].unique()
        old = result[0, seen]
        result[0, seen] = torch.where(old > 0, old / factor, old * factor)


def pageable(make):
    """Without CUDA no memory can be pinned."""
    return lambda *args, **more: make(*args, **{name: value for name, value in more.items() if name != "pin_memory"})


def prepare_v2():
    sys.modules["exllamav2_ext"] = extension_v2()
    import exllamav2
    from exllamav2 import attn

    def load_autosplit(self, cache, callback=None):
        assert type(cache).__name__ == "ExLlamaV2Cache_Q6"
        callback(1, 1)

    def forward_chunk(self, input_ids, *, preprocess_only=False, **more):
        return None if preprocess_only else {"logits": logits_of(self, input_ids)}

    exllamav2.ExLlamaV2.load_autosplit = load_autosplit
    exllamav2.ExLlamaV2.forward_chunk = forward_chunk
    exllamav2.ExLlamaV2Cache_Q6.all_tensors = lambda _self: []
    exllamav2.ExLlamaV2Cache_Q6.copy_states = lambda *_args: None
    assert attn.has_flash_attn_with_paged is False
    return ExLlamaV2Engine


def prepare_v3():
    made = ModuleType("exllamav3.ext")
    made.exllamav3_ext = ExtensionV3()
    sys.modules["exllamav3.ext"] = made
    import exllamav3

    def load(self, *, use_per_device, tensor_p, max_batch_size, callback):
        assert (use_per_device, tensor_p, max_batch_size) == (None, False, 4)
        self.output_device = torch.device("cpu")
        for cache in self.cache_weakrefs.values():
            cache().initialized = True
        callback(1, 1)

    exllamav3.Model.load = load
    exllamav3.Model.forward = lambda self, input_ids, params=None: logits_of(self, input_ids).half()
    exllamav3.Model.prefill = lambda self, input_ids, params=None: None
    exllamav3.Model.loaded_tp = False
    exllamav3.Cache.copy_page = lambda *_args: None
    return ExLlamaV3Engine


class Only(Constraint):
    def __init__(self, *tokens):
        self.tokens = tokens
        self.asked = []
        self.threads = set()

    def mask(self, generated):
        assert list(generated) == list(self.tokens[: len(generated)])
        self.asked.append(len(generated))
        self.threads.add(threading.get_ident())
        bits = np.zeros(SIZE, dtype=np.uint8)
        bits[self.tokens[len(generated)]] = 1
        return np.packbits(bits, bitorder="little").tobytes()


class Checks:
    def __init__(self, made, most):
        self.engine = made
        self.most = most

    def add(self, name, prompt, count, sampling=None, **more):
        self.engine.add(
            TokenRequest(
                request_id=name,
                prompt=tuple(prompt),
                max_tokens=count,
                sampling=sampling or Sampling(temperature=0.0),
                **more,
            )
        )

    def drive(self, *names):
        events = {name: [] for name in names}
        waiting = set(names)
        for _ in range(2000):
            if not waiting:
                return events
            for event in self.engine.step():
                events[event.request_id].append(event)
                if event.finish:
                    waiting.discard(event.request_id)
        raise AssertionError(f"{waiting} did not end")

    def run(self, prompt, count, sampling=None, **more):
        self.add("a", prompt, count, sampling, **more)
        return self.drive("a")["a"]

    @staticmethod
    def tokens(events):
        return [event.token for event in events if event.token is not None]

    def greedy_to_the_length(self):
        events = self.run([50, 60, 70], 40)
        assert self.tokens(events) == toy_answer([70], 40, SIZE), self.tokens(events)
        assert [event.finish for event in events if event.finish] == ["length"]

    def the_end_comes_with_its_token(self):
        events = self.run([50, BEFORE_END], 40)
        assert self.tokens(events) == [END]
        assert events[-1].finish == "stop"

    def a_constraint_is_kept(self):
        only = Only(500, 40, 41, 1999, END)
        events = self.run([50, 60], 40, constraint=only)
        assert self.tokens(events) == [500, 40, 41, 1999, END]
        assert only.asked == [0, 1, 2, 3, 4], only.asked

    def constraint_and_penalties_together(self):
        only = Only(500, 40, END)
        sampling = Sampling(temperature=0.8, presence_penalty=1, repetition_penalty=1.2, seed=4)
        assert self.tokens(self.run([50, 60], 40, sampling, constraint=only)) == [500, 40, END]

    def log_probabilities_are_the_models(self):
        sampling = Sampling(temperature=0.3, presence_penalty=0.5, repetition_penalty=1.1, logit_bias={9: 2.0})
        last = 70
        for event in self.run([50, 70], 5, sampling, top_logprobs=3):
            if event.token is not None:
                logits = toy_logits(last, SIZE).astype(np.float64)
                logits -= logits.max()
                expected = logits - math.log(np.exp(logits).sum())
                assert abs(event.logprob - expected[event.token]) < 0.01, (event.logprob, expected[event.token])
                assert [token for token, _ in event.top][:2] == [(3 * last + 1) % SIZE, (3 * last + 2) % SIZE]
                last = event.token

    def penalties_change_answers(self):
        # With the bias, 5 is ahead of everything until a penalty takes that from it; after 5 comes 16.
        ahead = {5: 8.5}
        for change, expected in (
            ({}, [5, 5]),
            ({"presence_penalty": 2.0}, [5, 16]),
            ({"frequency_penalty": 2.0}, [5, 16]),
        ):
            sampling = Sampling(temperature=0.0, logit_bias=ahead, **change)
            # That 5 stands in the prompt is nothing to these two.
            found = self.tokens(self.run([5, 60], 2, sampling))
            assert found == expected, (change, found)
        # After 60 comes 181, unless it was there.
        found = self.tokens(self.run([181, 60], 1, Sampling(temperature=0.0, repetition_penalty=1.5)))
        assert found == [182], found

    def the_same_seed_says_the_same(self):
        def answer(seed):
            return self.tokens(self.run([50, 60], 12, Sampling(temperature=1.9, seed=seed, top_p=0.99, min_p=1e-6)))

        assert answer(1) == answer(1)
        assert len({tuple(answer(seed)) for seed in range(5)}) > 1

    def prompts_tell_how_far_they_are_and_what_was_cached(self):
        prompt = [100 + number % 1500 for number in range(700)]
        events = self.run(prompt, 3)
        done = [event.prompt_done for event in events if event.prompt_done is not None]
        assert done[-1] == 700, done
        assert done == sorted(done)
        assert [event.cached for event in events if event.cached is not None] == [0]
        again = self.run(prompt, 3)
        (cached,) = [event.cached for event in again if event.cached is not None]
        assert 512 <= cached <= 699, cached
        assert self.engine.status().cached_tokens >= cached

    def several_and_one_that_is_removed(self):
        for name, last in (("a", 60), ("b", 61), ("c", 62)):
            self.add(name, [50, last], 30)
        self.engine.step()
        self.engine.remove("a")
        events = self.drive("b", "c")
        for name, last in (("b", 61), ("c", 62)):
            # What the first step gave, where several are served at once, is gone.
            found = self.tokens(events[name])
            assert len(found) >= 30 - self.most
            assert found == toy_answer([last], 30, SIZE)[-len(found) :]
        assert self.engine.generator.num_remaining_jobs() == 0

    def constraints_side_by_side(self):
        wanted = {name: Only(500 + number, 40, 41, END) for number, name in enumerate("abcd")}
        for name, only in wanted.items():
            self.add(name, [50, 60], 40, constraint=only)
        events = self.drive(*wanted)
        for name, only in wanted.items():
            assert self.tokens(events[name]) == list(only.tokens)
            assert only.threads == {threading.get_ident()}

    def the_whole_context_fits(self):
        length = self.engine.context
        events = self.run([50] * (length - 20), 20)
        assert len(self.tokens(events)) == 20
        with pytest.raises(ContextLengthError, match="does not fit the cache"):
            self.add("x", [50] * length * 5, 20)


def main() -> None:
    which, folder = sys.argv[1:3]
    torch.cuda.is_available = lambda: True
    torch.cuda.synchronize = lambda *_args: None
    for name in ("empty", "zeros"):
        setattr(torch, name, pageable(getattr(torch, name)))
    engine.availability = lambda _library: Availability(available=True, version="real")
    kind = {"exllamav2": prepare_v2, "exllamav3": prepare_v3}[which]()
    for way, slots, guesses in WAYS[which]:
        if which == "exllamav2":
            sys.modules["exllamav2.attn"].has_flash_attn_with_paged = way == "in batches"
        draft = {"draft_model": folder, "draft_tokens": guesses} if guesses else {}
        made = kind()
        variant = ModelVariant(model_id="m", name="m", vendor="local", format="safetensors")
        spec = LoadSpec(
            model_id="m",
            model_path=folder,
            variant=variant,
            device="GPU-0",
            backend=Backend.CUDA,
            slots=slots,
            threads=4,
            context_length=1000,
            options={"cache_type": "Q6", **draft},
        )
        made.context = made.load(spec, lambda stage: None).context_length
        made.generator = made._generation.generator
        for model in made._generation._models[1:]:
            model.guesses = True
        assert made.status().slots_total == (1 if way == "one by one" else slots)
        checks = Checks(made, 1 + guesses)
        for name in [name for name in vars(Checks) if name[0] != "_" and name not in {"add", "drive", "run", "tokens"}]:
            with torch.inference_mode():
                getattr(checks, name)()
            sys.stdout.write(f"passed {which} {way} with {guesses} guesses: {name.replace('_', ' ')}\n")
        made.unload()


WAYS = {
    "exllamav2": [("one by one", 4, 0), ("one by one", 4, 3), ("in batches", 4, 0), ("in batches", 4, 3)],
    "exllamav3": [("in batches", 4, 0), ("in batches", 4, 3)],
}
"""How requests are served, slots asked for, tokens guessed at a time."""


if __name__ == "__main__":
    main()
