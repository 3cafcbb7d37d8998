"""From rbee's load specification to llama.cpp's parameters."""

from __future__ import annotations

from typing import Any

from rbee.contract import Backend, Capability, LoadSpec

DEFAULT_CONTEXT = 8192
"""Tokens a slot when nobody asked; its memory is taken at load, so not a model's full 128k."""

CPU_BATCH = 128
"""Tokens of a prompt that are computed in one go on a processor.

The other slots advance and cancellations are acted upon only in between.  128 costs no speed (187 tokens a
second against 183 with the library's 2048, half a billion parameters on two cores) and takes 0.7 s, not 10 s.
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


def embeds(spec: LoadSpec) -> bool:
    """Whether the model is made for embeddings, and for nothing else."""
    made_for = spec.variant.capabilities
    return Capability.EMBEDDINGS in made_for and not made_for & {Capability.CHAT, Capability.COMPLETIONS}


def fill_parameters(parameters: Any, spec: LoadSpec, path: str, key: str) -> None:
    """Set a fresh ``xllamacpp.CommonParams`` for `spec`.

    Args:
        parameters: the object to be set.
        spec: what to load.
        path: the model file.
        key: secret that every request has to carry.
    """
    parameters.model.path = path
    parameters.model_alias = {spec.model_id}
    parameters.offline = True
    # The server does one or the other; how the vectors of a prompt become one, the model's file says.
    parameters.embedding = embeds(spec)
    _share(parameters, spec)
    _server(parameters, spec, key)


def _share(parameters: Any, spec: LoadSpec) -> None:
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
