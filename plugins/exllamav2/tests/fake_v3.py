"""The module ``exllamav3`` as far as the adapter uses it; see `toy`."""

# ruff: noqa: N801  # the names are the library's

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
from toy import FakeGenerator, FakeJob, Tensor


class Config:
    @staticmethod
    def from_directory(directory):
        told = json.loads(Path(directory, "config.json").read_text())
        return SimpleNamespace(max_position_embeddings=told["max_position_embeddings"], vocab_size=told["vocab_size"])


class Model:
    failure: Exception | None = None

    def __init__(self, config):
        self.size = config.vocab_size
        self.caches = []
        self.loaded = None

    @staticmethod
    def from_config(config):
        return Model(config)

    def load(self, *, use_per_device, tensor_p, max_batch_size, callback):
        assert self.caches, "the cache must be there before the model is loaded"
        for done in range(13):
            callback(done, 12)
        if Model.failure is not None:
            raise Model.failure
        self.loaded = {"use_per_device": use_per_device, "tensor_p": tensor_p, "max_batch_size": max_batch_size}

    def unload(self):
        self.loaded = None


class CacheLayer_fp16:
    pass


class CacheLayer_quant:
    pass


class Cache:
    def __init__(self, model, max_num_tokens, layer_type=None, max_batch_size=16, max_history=0, **bits):
        assert max_num_tokens % 256 == 0
        model.caches.append(self)
        self.max_num_tokens = max_num_tokens
        self.layer_type = layer_type
        self.bits = bits
        self.max_history = max_history


class Tokenizer:
    @staticmethod
    def from_config(config):
        return Tokenizer()


class Filter:
    def __init__(self, tokenizer, trigger_token, prefix_str, eos_after_completed):
        assert trigger_token is None
        assert not eos_after_completed
        self.tokenizer = tokenizer

    def feed(self, token):
        self.accept_token(token)
        assert not self.is_completed()


class SS_Base:
    pass


class Step(SS_Base):
    def __init__(self, *values):
        self.values = values


STEPS = [
    "SS_Argmax",
    "SS_LogitBias",
    "SS_MinP",
    "SS_RepP",
    "SS_Sample",
    "SS_Temperature",
    "SS_TopK",
    "SS_TopP",
]


class CustomSampler:
    def __init__(self, steps):
        self.steps = steps


class Job(FakeJob):
    def __init__(self, input_ids, max_new_tokens, sampler, **more):
        super().__init__(input_ids, max_new_tokens, **more)
        self.sampler = sampler
        for one in self.filters:
            one.reset()


class Generator(FakeGenerator):
    def __init__(
        self, model, cache, tokenizer, max_batch_size=256, draft_model=None, draft_cache=None, num_draft_tokens=None
    ):
        self.cache = cache
        self.draft_model = draft_model
        if draft_model is not None:
            assert draft_cache.max_num_tokens == cache.max_num_tokens
        super().__init__(
            model=model,
            tokenizer=tokenizer,
            cache_tokens=cache.max_num_tokens,
            max_batch_size=max_batch_size,
            guesses=(num_draft_tokens or 4) if draft_model is not None else 0,
            early=0,
        )

    def pick(self, job, logits):
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        chosen = logits.copy()
        for one in job.filters:
            assert not one.use_background_worker()
            words = one.get_next_logit_mask().numpy()
            assert words.dtype == np.int32
            assert words.shape[0] == 1
            bits = np.unpackbits(words.view(np.uint8), bitorder="little")[: logits.size]
            chosen[bits == 0] = -np.inf
        return int(np.argmax(chosen)), shares

    @staticmethod
    def feed(one, token):
        one.feed(token)

    @staticmethod
    def details(job, told):
        found = {}
        tokens = [token for token, _ in job.held]
        if job.more["return_probs"]:
            found["token_probs"] = Tensor([[shares[token] for token, shares in zip(tokens, told, strict=True)]])
        if count := job.more["return_top_tokens"]:
            order = [np.argsort(-shares, kind="stable")[:count] for shares in told]
            found["top_k_tokens"] = Tensor([order])
            found["top_k_probs"] = Tensor([[shares[ids] for shares, ids in zip(told, order, strict=True)]])
        return found


def modules(torch):
    """What goes into `sys.modules`."""
    root = ModuleType("exllamav3")
    generator = ModuleType("exllamav3.generator")
    sampler = ModuleType("exllamav3.generator.sampler")
    custom = ModuleType("exllamav3.generator.sampler.custom")
    names = [Config, Model, Cache, CacheLayer_fp16, CacheLayer_quant, Tokenizer, Filter, CustomSampler, Job, Generator]
    for one in [*names, *(type(name, (Step,), {}) for name in STEPS)]:
        setattr(root, one.__name__, one)
    sampler.SS_Base = SS_Base
    custom.SS = Enum("SS", ["INIT", "LOGITS"])
    return {"torch": torch, **{one.__name__: one for one in (root, generator, sampler, custom)}}
