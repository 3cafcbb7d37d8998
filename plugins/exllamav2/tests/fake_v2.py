"""The module ``exllamav2`` as far as the adapter uses it; see `toy`."""

# ruff: noqa: N801  # the names are the library's

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
from toy import FakeGenerator, FakeJob, Tensor


class ExLlamaV2Config:
    no_flash_attn = False

    def __init__(self, model_dir):
        told = json.loads(Path(model_dir, "config.json").read_text())
        self.max_seq_len = told["max_position_embeddings"]
        self.max_input_len = 2048
        self.vocab_size = told["vocab_size"]


class ExLlamaV2:
    failure: Exception | None = None

    def __init__(self, config):
        self.config = config
        self.size = config.vocab_size
        self.loaded = None

    def _load(self, how, callback):
        for done in range(13):
            callback(done, 12)
        if ExLlamaV2.failure is not None:
            raise ExLlamaV2.failure
        self.loaded = how

    def load(self, gpu_split=None, callback=None):
        self._load(("split", gpu_split), callback)

    def load_tp(self, gpu_split=None, callback=None, expect_cache_tokens=0, expect_cache_base=None):
        self._load(("tensor", gpu_split, expect_cache_tokens, expect_cache_base), callback)

    def load_autosplit(self, cache, callback=None):
        assert cache.lazy
        self._load(("auto",), callback)

    def unload(self):
        self.loaded = None


class ExLlamaV2Cache:
    def __init__(self, model, max_seq_len=-1, lazy=False):
        assert lazy or model.loaded, "the cache goes where the layers are"
        self.model = model
        self.max_seq_len = max_seq_len
        self.lazy = lazy


class ExLlamaV2Cache_Q4(ExLlamaV2Cache):
    pass


class ExLlamaV2Cache_Q6(ExLlamaV2Cache):
    pass


class ExLlamaV2Cache_Q8(ExLlamaV2Cache):
    pass


class ExLlamaV2Cache_TP(ExLlamaV2Cache):
    def __init__(self, model, base=ExLlamaV2Cache, max_seq_len=-1):
        super().__init__(model, max_seq_len)
        self.base = base


class ExLlamaV2Tokenizer:
    def __init__(self, config):
        self.config = config


@dataclasses.dataclass
class Settings:
    token_repetition_penalty: float = 1.025
    temperature: float = 0.8
    top_k: int = 50
    top_p: float = 0.8
    min_p: float = 0.0

    @staticmethod
    def greedy():
        return Settings(temperature=1.0, token_repetition_penalty=1.0, top_p=0.0, top_k=1)


class ExLlamaV2Filter:
    def __init__(self, model, tokenizer):
        self.model = model
        self.tokenizer = tokenizer


class ExLlamaV2DynamicJob(FakeJob):
    pass


class ExLlamaV2DynamicGenerator(FakeGenerator):
    def __init__(
        self,
        model,
        cache,
        tokenizer,
        max_batch_size=None,
        max_q_size=8,
        draft_model=None,
        draft_cache=None,
        num_draft_tokens=4,
        max_sampling_threads=16,
        paged=True,
        filter_background_eval=True,
    ):
        if draft_model is not None:
            assert draft_cache.max_seq_len == cache.max_seq_len
            assert draft_model.config.max_seq_len >= model.config.max_seq_len
        assert not filter_background_eval
        assert max_q_size * max_batch_size <= model.config.max_input_len
        assert model.config.max_input_len % 256 == 0
        assert cache.max_seq_len % 256 == 0
        assert paged or max_batch_size == 1
        self.cache = cache
        self.draft_model = draft_model
        self.paged = paged
        self.max_sampling_threads = max_sampling_threads
        guesses = num_draft_tokens if draft_model is not None else 0
        super().__init__(
            model=model,
            tokenizer=tokenizer,
            cache_tokens=cache.max_seq_len,
            max_batch_size=max_batch_size,
            guesses=guesses,
            early=guesses,
        )

    def pick(self, job, logits):
        chosen = logits
        for one in job.filters:
            assert one.can_mask_logits()
            assert not one.use_background_worker()
            if not job.answer:
                one.begin("")
            assert one.prepare_logit_mask() is True
            chosen = one.mask_logits(Tensor(chosen)).numpy()
        return int(np.argmax(chosen)), logits

    @staticmethod
    def feed(one, token):
        one.feed(Tensor([[token]]))

    @staticmethod
    def details(job, told):
        return {"logits": Tensor([told])} if job.more["return_logits"] else {}


def modules(torch):
    """What goes into `sys.modules`."""
    root = ModuleType("exllamav2")
    generator = ModuleType("exllamav2.generator")
    filters = ModuleType("exllamav2.generator.filters")
    attention = ModuleType("exllamav2.attn")
    names = [ExLlamaV2Config, ExLlamaV2, ExLlamaV2Tokenizer]
    names += [ExLlamaV2Cache, ExLlamaV2Cache_Q4, ExLlamaV2Cache_Q6, ExLlamaV2Cache_Q8, ExLlamaV2Cache_TP]
    for one in names:
        setattr(root, one.__name__, one)
    generator.ExLlamaV2DynamicGenerator = ExLlamaV2DynamicGenerator
    generator.ExLlamaV2DynamicJob = ExLlamaV2DynamicJob
    generator.ExLlamaV2Sampler = SimpleNamespace(Settings=Settings)
    filters.ExLlamaV2Filter = ExLlamaV2Filter
    attention.has_flash_attn_with_paged = True
    made = (root, generator, filters, attention)
    return {"torch": torch, **{one.__name__: one for one in made}}
