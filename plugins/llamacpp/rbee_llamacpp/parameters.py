"""From rbee's load specification to llama.cpp's parameters."""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import Any

from rbee.contract import Backend, Capability, LoadSpec

from rbee_llamacpp.options import adapters, draft_model

DEFAULT_CONTEXT = 8192
"""Tokens a slot when nobody asked; its memory is taken at load, so not a model's full 128k."""

CPU_BATCH = 128
"""Tokens of a prompt that are computed in one go on a processor.

The other slots advance and cancellations are acted upon only in between.  128 costs no speed (187 tokens a
second against 183 with the library's 2048, half a billion parameters on two cores) and takes 0.7 s, not 10 s.
"""

REARRANGED = ("Q4_0", "Q4_K", "IQ4_NL")
"""Quantisations whose weights the library copies into another order for a processor, by the beginning of their names.

A mapped file stays beside the copy for good: 1383 MiB instead of 893 are then resident for 522 MiB of weights in Q4_0,
and 696 instead of 414 for 315 in Q4_K.  Read instead, as the copy is anyway, they are loaded in 1.4 s instead of 0.9.
Which ones, as seen on AVX2: ``ggml_repack_get_optimal_repack_type`` in llama.cpp's ``ggml-cpu/repack.cpp``.
"""

PING_S = 1
"""Seconds between comments in a streamed answer while it has no tokens.

A thread that waits for tokens looks up only this often, and stopping waits for all of them: with the
library's 30 s `stop` could take as long.
"""

LOG_ERRORS_ONLY = 1
"""Below 1 the library says nothing at all, not even why a load failed."""


def context_per_slot(spec: LoadSpec) -> int:
    """Tokens of context for each slot: what was asked for or the default, never beyond the model's own."""
    wanted = spec.context_length or DEFAULT_CONTEXT
    own = spec.variant.context_length
    return wanted if own is None else min(wanted, own)


_POOLINGS = MappingProxyType(
    {
        "mean": "LLAMA_POOLING_TYPE_MEAN",
        "cls": "LLAMA_POOLING_TYPE_CLS",
        "last": "LLAMA_POOLING_TYPE_LAST",
        "rank": "LLAMA_POOLING_TYPE_RANK",
    }
)


def embeds(spec: LoadSpec) -> bool:
    """Whether the model is made for embeddings, and neither to generate nor to rank."""
    return Capability.EMBEDDINGS in spec.variant.capabilities and not (generates(spec) or ranks(spec))


def ranks(spec: LoadSpec) -> bool:
    """Whether the model is made to rank documents, and not to generate."""
    return Capability.RERANK in spec.variant.capabilities and not generates(spec)


def generates(spec: LoadSpec) -> bool:
    """Whether the model is made to generate."""
    return bool(spec.variant.capabilities & {Capability.CHAT, Capability.COMPLETIONS})


def fill_parameters(
    library: Any, parameters: Any, spec: LoadSpec, path: str, key: str, sessions: str | None = None
) -> None:
    """Set a fresh ``xllamacpp.CommonParams`` for `spec`.

    Args:
        library: the module.
        parameters: the object to be set.
        spec: what to load.
        path: the model file.
        key: secret that every request has to carry.
        sessions: folder for the caches of slots; None where none are kept.

    Raises:
        InvalidRequestError, ModelFileError: an option names a file that will not do.
    """
    parameters.model.path = path
    parameters.model_alias = {spec.model_id}
    parameters.offline = True
    # The server does one or the other; how the vectors of a prompt become one, the model's file says, or an option.
    parameters.embedding = embeds(spec) or ranks(spec)
    pooling = "rank" if ranks(spec) else str(spec.options.get("pooling") or "") if embeds(spec) else ""
    if pooling:
        parameters.pooling_type = getattr(library.llama_pooling_type, _POOLINGS[pooling])
    parameters.lora_adapters = [library.CommonAdapterLoraInfo(one.path, one.scale) for one in adapters(spec)]
    if generates(spec):
        _guess_ahead(library, parameters, spec)
    if sessions is not None:
        # The library puts a file's name right behind it.
        parameters.slot_save_path = sessions + os.sep
    _share(library, parameters, spec)
    _server(parameters, spec, key)


def _share(library: Any, parameters: Any, spec: LoadSpec) -> None:
    parameters.cpuparams.n_threads = spec.threads
    parameters.cpuparams_batch.n_threads = spec.threads
    parameters.n_parallel = spec.slots
    # The total is divided evenly; a unified cache would let one slot take the context of the others.
    parameters.n_ctx = context_per_slot(spec) * spec.slots
    parameters.kv_unified = False
    # A prompt that does not fit is an error to the caller, never silently shortened.
    parameters.ctx_shift = False
    # What was asked for is what is loaded: no shrinking to fit behind the scheduler's back.
    parameters.fit_params = False
    # Otherwise up to 8 GiB of finished conversations are kept, which no scheduler knows of.
    parameters.cache_ram_mib = 0
    parameters.cache_idle_slots = False
    if spec.backend == Backend.CPU:
        parameters.n_gpu_layers = 0
        parameters.no_kv_offload = True
        parameters.no_op_offload = True
        parameters.n_batch = parameters.n_ubatch = max(CPU_BATCH, spec.slots)
        if (spec.variant.quantization or "").upper().startswith(REARRANGED):
            parameters.load_mode = library.llama_load_mode.LLAMA_LOAD_MODE_NONE


def _guess_ahead(library: Any, parameters: Any, spec: LoadSpec) -> None:
    """Have tokens guessed, which the model then checks several at a time: what it says stays the same."""
    kinds, path = [], draft_model(spec)
    if path is not None:
        draft = parameters.speculative.draft
        kinds.append(library.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE)
        draft.mparams.path = path
        draft.cpuparams.n_threads = draft.cpuparams_batch.n_threads = spec.threads
        if spec.backend == Backend.CPU:
            draft.n_gpu_layers = 0
        if spec.options.get("draft_max"):
            draft.n_max = spec.options["draft_max"]
    if spec.options.get("ngram_draft"):
        # Of the five ways to draw on the text, the one that made looping text faster and not slower (2026.10).
        kinds.append(library.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_MOD)
    if kinds:
        parameters.speculative.types = kinds


def _server(parameters: Any, spec: LoadSpec, key: str) -> None:
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [key]
    parameters.n_threads_http = spec.slots + 4
    parameters.sse_ping_interval = PING_S
    parameters.endpoint_slots = True
    parameters.endpoint_metrics = True
    parameters.endpoint_props = False
    parameters.ui = False
    parameters.verbosity = LOG_ERRORS_ONLY
