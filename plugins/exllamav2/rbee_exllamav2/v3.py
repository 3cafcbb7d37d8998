"""The engine over ExLlamaV3."""

from __future__ import annotations

import gc
import importlib
import math
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
from rbee_exllamav2.options import PAGE, Plan

LEAST: Final = 2.0**-149
"""The smallest probability that the library's 32 bits can tell from 0."""
BITS: Final = MappingProxyType({"Q8": 8, "Q6": 6, "Q4": 4})


class ExLlamaV3Engine(ExLlamaEngine):
    """ExLlamaV3's generator; it computes in batches with kernels of its own."""

    name = "exllamav3"
    formats = frozenset({"exl3", "safetensors"})
    # Made for CUDA and nothing else.
    preference = MappingProxyType({Backend.CUDA: 30})
    library = Library(module="exllamav3", extension="exllamav3_ext")

    def _generate(self, plan: Plan, tokenizer: Tokenizer, report: StageReport) -> Generation:
        return _load(plan, tokenizer, report)


def _load(plan: Plan, tokenizer: Tokenizer, report: StageReport) -> _Generation:
    library = importlib.import_module("exllamav3")
    config = library.Config.from_directory(str(plan.folder))
    draft_config = library.Config.from_directory(str(plan.draft)) if plan.draft is not None else None
    reach = config.max_position_embeddings
    if draft_config is not None:
        reach = min(reach, draft_config.max_position_embeddings)
    # The library keeps room for one token more than it may write.
    lengths = lengths_of(plan, plan.slots, reach, plan.draft_tokens + 1)
    draft = None
    if draft_config is not None:
        draft = _model(library, plan, draft_config, lengths, Progress(report, "loading the draft model"))
    model, cache = _model(library, plan, config, lengths, Progress(report, "loading the model"))
    generator = library.Generator(
        model=model,
        cache=cache,
        tokenizer=library.Tokenizer.from_config(config),
        max_batch_size=plan.slots,
        draft_model=draft[0] if draft is not None else None,
        draft_cache=draft[1] if draft is not None else None,
        num_draft_tokens=plan.draft_tokens or None,
    )
    models = [model] if draft is None else [model, draft[0]]
    return _Generation(generator, models, tokenizer, lengths.context, int(generator.max_batch_size))


def _model(library: Any, plan: Plan, config: Any, lengths: Lengths, progress: Progress) -> tuple[Any, Any]:
    """A model and its cache, which must be there before the weights are loaded."""
    model = library.Model.from_config(config)
    bits = BITS.get(plan.cache_type)
    kind = {"layer_type": library.CacheLayer_fp16}
    if bits is not None:
        kind = {"layer_type": library.CacheLayer_quant, "k_bits": bits, "v_bits": bits}
    cache = library.Cache(
        model,
        max_num_tokens=lengths.cache,
        max_batch_size=plan.slots,
        max_history=plan.draft_tokens,
        **kind,
    )
    model.load(
        use_per_device=list(plan.split or plan.shares) or None,
        tensor_p=plan.tensor_parallel,
        max_batch_size=plan.slots,
        callback=progress,
    )
    return model, cache


class _Generation(Generation):
    def __init__(
        self, generator: Any, models: list[Any], tokenizer: Tokenizer, context_length: int, slots: int
    ) -> None:
        self.generator = generator
        self.context_length = context_length
        self.slots = slots
        self._models = models
        self._ends = sorted(tokenizer.ends)

    def job(self, request: TokenRequest) -> Any:
        torch = importlib.import_module("torch")
        library = importlib.import_module("exllamav3")
        own = importlib.import_module("rbee_exllamav2.v3_parts")
        filters = []
        if request.constraint is not None:
            filters.append(own.Allowed(self.generator.tokenizer, request.constraint))
        return library.Job(
            input_ids=torch.tensor([request.prompt], dtype=torch.long),
            max_new_tokens=request.max_tokens,
            sampler=library.CustomSampler(_steps(library, own, request.sampling, len(request.prompt))),
            seed=request.sampling.seed,
            stop_conditions=[] if request.ignore_ends else self._ends,
            return_probs=request.top_logprobs is not None,
            return_top_tokens=request.top_logprobs or 0,
            filters=filters,
            identifier=request.request_id,
        )

    def cached(self, job: Any) -> int:
        return int(job.cached_pages) * PAGE + int(job.cached_tokens)

    def drawn(self, part: Result, request: TokenRequest) -> Sequence[Drawn]:
        tokens = ids_of(part)
        if request.top_logprobs is None or not tokens:
            return [Drawn(token) for token in tokens]
        logprobs = [_logarithm(share) for share in part["token_probs"].tolist()[0]]
        tops: list[tuple[tuple[int, float], ...]] = [()] * len(tokens)
        if request.top_logprobs:
            shares = zip(part["top_k_tokens"].tolist()[0], part["top_k_probs"].tolist()[0], strict=True)
            tops = [
                tuple((int(token), _logarithm(share)) for token, share in zip(ids, probabilities, strict=True))
                for ids, probabilities in shares
            ]
        return [Drawn(*one) for one in zip(tokens, logprobs, tops, strict=True)]

    def prepare(self) -> None:
        """Nothing: the library asks filters in the thread that iterates."""

    def forget(self, request_id: str) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        self.generator.close()
        self.generator = None
        for model in self._models:
            model.unload()
        self._models = []
        gc.collect()
        importlib.import_module("torch").cuda.empty_cache()


def _logarithm(share: float) -> float:
    return math.log(max(share, LEAST))


def _steps(library: Any, own: Any, sampling: Sampling, prompt_length: int) -> list[Any]:
    """The library's sampling steps, in the order in which it has them itself; those that are off it leaves out."""
    steps = [
        library.SS_LogitBias(dict(sampling.logit_bias)),
        library.SS_RepP(sampling.repetition_penalty),
    ]
    if sampling.presence_penalty or sampling.frequency_penalty:
        steps.append(own.AnswerPenalties(sampling.presence_penalty, sampling.frequency_penalty, prompt_length))
    if sampling.temperature == 0:
        return [*steps, library.SS_Argmax()]
    return [
        *steps,
        library.SS_Temperature(sampling.temperature),
        library.SS_MinP(sampling.min_p),
        library.SS_TopK(sampling.top_k),
        library.SS_TopP(sampling.top_p),
        library.SS_Sample(),
    ]
