"""What a vendor of a placement policy writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

import msgspec

Scores = Mapping[str, Mapping[str, float]]
"""Numbers by name, by worker id."""

_NO_SCORES: Scores = MappingProxyType({})


class WorkerView(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as a policy sees it.

    Attributes:
        worker_id: identity and last tie-break.
        hive_id: where it runs; None when unknown.
        gpu_pct: load of its device, 0 to 100; None when unknown or on a CPU.
        cpu_pct: load of its process, 100 is one core; None when unknown.
        vram_free_mb: memory left on its GPU, MiB; None when unknown or on a CPU.
        slots_total: requests it serves at the same time; None when unknown.
        slots_free: of these, free ones less reservations; None when unknown.
        queue_depth: requests waiting inside it; None when unknown.
        latency_s: time to first token lately measured by the queen; None before the first request.
        prefill_tok_s: tokens of a prompt it computes a second, measured; None before that.
        decode_tok_s: tokens a second that one more answer would get there beside those that run now, measured; None
            before that.
        affinity: share of the request's prompt that the worker has lately computed and may still keep, 0 to 1.
        sticky: the request belongs to a session whose last request went there.
        sent: number of the last request that the queen sent there, which rises with every request to any worker; 0
            before the first.
        age_s: seconds since the worker has told of itself; None when it has not.
    """

    worker_id: str
    hive_id: str | None = None
    gpu_pct: float | None = None
    cpu_pct: float | None = None
    vram_free_mb: int | None = None
    slots_total: int | None = None
    slots_free: int | None = None
    queue_depth: int | None = None
    latency_s: float | None = None
    prefill_tok_s: float | None = None
    decode_tok_s: float | None = None
    affinity: float = 0.0
    sticky: bool = False
    sent: int = 0
    age_s: float | None = None


class RequestView(msgspec.Struct, frozen=True, kw_only=True):
    """A request as a policy sees it: sizes alone, no text.

    Attributes:
        prompt_tokens: tokens of the prompt, estimated from its length; None when unknown.
        max_tokens: most tokens that the answer may have; None when the request does not say.
        batch: nobody waits for the answer's first token.
    """

    prompt_tokens: int | None = None
    max_tokens: int | None = None
    batch: bool = False


class Policy(ABC):
    """Orders workers that all could serve a request.  Pure: no clock, no randomness, no I/O, no state.

    A decision is recorded with what it was made from, and made again from that by ``rbee replay``: a policy that is
    not pure cannot be explained.  One that raises, loses a worker or takes longer than 50 ms is replaced by the policy
    ``balanced`` for that decision, and the queen's log says so.
    """

    name: ClassVar[str]

    @abstractmethod
    def rank(self, workers: Sequence[WorkerView], request: RequestView) -> Sequence[WorkerView]:
        """The same workers, best first; equal input gives equal output whatever its order.

        Called on the queen's event loop for every request: linear in `workers`, which holds the model's workers
        alone and at least one.
        """

    def scores(self, workers: Sequence[WorkerView], request: RequestView) -> Scores:
        """The numbers by which `rank` puts each worker where it is, for whoever asks why; none unless overridden.

        Called for explanations alone, never on a request's way.

        Returns:
            By worker id: numbers by name.
        """
        return _NO_SCORES
