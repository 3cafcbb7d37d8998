"""The engine over ExLlamaV2."""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import logging
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, Final

from rbee.contract import Backend, StageReport
from rbee.contract.token_engine import Sampling, TokenRequest
from rbee.contract.tokenizer import Tokenizer

from rbee_exllamav2.availability import Library
from rbee_exllamav2.engine import ExLlamaEngine
from rbee_exllamav2.generation import Drawn, Generation, Progress, Result, ids_of
from rbee_exllamav2.lengths import Lengths, lengths_of
from rbee_exllamav2.logits import likeliest, log_probabilities, plain
from rbee_exllamav2.options import PAGE, Plan

QUERY: Final = 8
"""Tokens that the generator computes at most for each request at once; it keeps room for them in a batch."""
GREEDY_BELOW: Final = 0.01
"""The library itself takes lower temperatures for none."""

logger = logging.getLogger(__name__)


class ExLlamaV2Engine(ExLlamaEngine):
    """ExLlamaV2's dynamic generator: in batches where flash-attn is there, else one request at a time."""

    name = "exllamav2"
    formats = frozenset({"exl2", "safetensors"})
    # For CUDA alone, and behind its successor where a model can be had for both.
    preference = MappingProxyType({Backend.CUDA: 25})
    note = "Upstream archived ExLlamaV2 in 2026; its successor is the engine exllamav3, for EXL3 models."
    library = Library(module="exllamav2", extension="exllamav2_ext")

    def _generate(self, plan: Plan, tokenizer: Tokenizer, report: StageReport) -> Generation:
        return _load(plan, tokenizer, report)


def _load(plan: Plan, tokenizer: Tokenizer, report: StageReport) -> _Generation:
    library = importlib.import_module("exllamav2")
    generators = importlib.import_module("exllamav2.generator")
    config = library.ExLlamaV2Config(str(plan.folder))
    draft_config = library.ExLlamaV2Config(str(plan.draft)) if plan.draft is not None else None
    one_by_one = _why_one_by_one(config)
    slots = plan.slots if one_by_one is None else 1
    if one_by_one is not None:
        logger.warning("exllamav2 serves one request at a time: %s", one_by_one)
        report(f"one request at a time: {one_by_one}")
    reach = min(config.max_seq_len, draft_config.max_seq_len if draft_config is not None else config.max_seq_len)
    lengths = lengths_of(plan, slots, reach, plan.draft_tokens)
    draft = None
    if draft_config is not None:
        draft = _model(library, plan, draft_config, lengths, Progress(report, "loading the draft model"))
    model, cache = _model(library, plan, config, lengths, Progress(report, "loading the model"))
    slots = min(slots, config.max_input_len // QUERY)
    own_tokenizer = library.ExLlamaV2Tokenizer(config)
    generator = generators.ExLlamaV2DynamicGenerator(
        model=model,
        cache=cache,
        tokenizer=own_tokenizer,
        max_batch_size=slots,
        max_q_size=QUERY,
        draft_model=draft[0] if draft is not None else None,
        draft_cache=draft[1] if draft is not None else None,
        num_draft_tokens=plan.draft_tokens,
        max_sampling_threads=plan.threads,
        paged=one_by_one is None,
        # Constraints are asked in this thread, before the iteration.
        filter_background_eval=False,
    )
    models = [model] if draft is None else [model, draft[0]]
    return _Generation(generator, models, tokenizer, plan, lengths.context, slots)


def _model(library: Any, plan: Plan, config: Any, lengths: Lengths, progress: Progress) -> tuple[Any, Any]:
    """A model with its cache, loaded in one of the library's three ways."""
    config.max_seq_len = lengths.positions
    # A chunk of a prompt must be whole pages.
    config.max_input_len = min(config.max_input_len, lengths.positions)
    model = library.ExLlamaV2(config)
    kind = {
        "FP16": library.ExLlamaV2Cache,
        "Q8": library.ExLlamaV2Cache_Q8,
        "Q6": library.ExLlamaV2Cache_Q6,
        "Q4": library.ExLlamaV2Cache_Q4,
    }[plan.cache_type]
    split = list(plan.split) or None
    if plan.tensor_parallel:
        model.load_tp(
            split or list(plan.shares) or None,
            callback=progress,
            expect_cache_tokens=lengths.cache,
            expect_cache_base=kind,
        )
        return model, library.ExLlamaV2Cache_TP(model, base=kind, max_seq_len=lengths.cache)
    if split is not None:
        model.load(split, callback=progress)
        return model, kind(model, max_seq_len=lengths.cache)
    # Fills one card after the other, each up to the limit that PyTorch keeps to: what the hive has given of it.
    cache = kind(model, max_seq_len=lengths.cache, lazy=True)
    model.load_autosplit(cache, callback=progress)
    return model, cache


def _why_one_by_one(config: Any) -> str | None:
    """Why requests cannot be computed in batches, with the remedy; None where they can."""
    attention = importlib.import_module("exllamav2.attn")
    torch = importlib.import_module("torch")
    if config.no_flash_attn:
        return "the environment says EXLLAMA_NO_FLASH_ATTN; remove it"
    for number in range(torch.cuda.device_count()):
        if torch.cuda.get_device_capability(number) < (8, 0):
            return "flash-attn needs a GPU of compute capability 8.0 or higher"
    if attention.has_flash_attn_with_paged:
        return None
    try:
        version = importlib.metadata.version("flash-attn")
    except importlib.metadata.PackageNotFoundError:
        return "flash-attn 2.5.7 or later is not installed; pip install flash-attn --no-build-isolation"
    return (
        f"flash-attn {version} is not usable, 2.5.7 or later is needed; pip install -U flash-attn --no-build-isolation"
    )


class _Generation(Generation):
    def __init__(
        self, generator: Any, models: list[Any], tokenizer: Tokenizer, plan: Plan, context_length: int, slots: int
    ) -> None:
        self.generator = generator
        self.context_length = context_length
        self.slots = slots
        self._models = models
        self._tokenizer = tokenizer
        self._ends = sorted(tokenizer.ends)
        self._guesses = plan.draft_tokens
        self._shapers: dict[str, Any] = {}

    def job(self, request: TokenRequest) -> Any:
        torch = importlib.import_module("torch")
        generators = importlib.import_module("exllamav2.generator")
        filters = []
        if request.constraint is not None or not plain(request.sampling):
            shaper = importlib.import_module("rbee_exllamav2.v2_filter").Shaper(
                self.generator.model, self.generator.tokenizer, request
            )
            self._shapers[request.request_id] = shaper
            filters.append(shaper)
        return generators.ExLlamaV2DynamicJob(
            input_ids=torch.tensor([request.prompt], dtype=torch.long),
            # The library ends a job as many tokens early as it guesses at a time.
            max_new_tokens=request.max_tokens + self._guesses,
            gen_settings=_settings(generators.ExLlamaV2Sampler.Settings, request.sampling),
            seed=request.sampling.seed,
            stop_conditions=[] if request.ignore_ends else self._ends,
            return_logits=request.top_logprobs is not None,
            filters=filters,
            identifier=request.request_id,
        )

    def cached(self, job: Any) -> int:
        return int(job.cached_pages) * PAGE + int(job.cached_tokens)

    def drawn(self, part: Result, request: TokenRequest) -> Sequence[Drawn]:
        tokens = ids_of(part)
        if request.top_logprobs is None or not tokens:
            return [Drawn(token) for token in tokens]
        rows = part["logits"].numpy()[0]
        drawn = []
        for token, row in zip(tokens, rows, strict=True):
            logprobs = log_probabilities(row, self._tokenizer.size)
            drawn.append(Drawn(token, float(logprobs[token]), likeliest(logprobs, request.top_logprobs)))
        return drawn

    def prepare(self) -> None:
        """Constraints want this thread, and the library asks filters in threads of its own in large batches."""
        for shaper in self._shapers.values():
            shaper.prepare()

    def forget(self, request_id: str) -> None:
        self._shapers.pop(request_id, None)

    def close(self) -> None:
        self._shapers.clear()
        self.generator = None
        for model in self._models:
            model.unload()
        self._models = []
        gc.collect()
        importlib.import_module("torch").cuda.empty_cache()


def _settings(make: Any, sampling: Sampling) -> Any:
    """The library's sampler settings; penalties and biases are `v2_filter.Shaper`'s."""
    if sampling.temperature < GREEDY_BELOW or sampling.min_p >= 1:
        return make.greedy()
    return make(
        temperature=sampling.temperature,
        token_repetition_penalty=1.0,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        min_p=sampling.min_p,
    )
