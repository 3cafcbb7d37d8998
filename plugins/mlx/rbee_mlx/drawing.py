"""How the next token is drawn: what the library calls samplers and logits processors, one request's at a time.

Everything here stays an expression of the library's until the token itself is wanted, but for constraints, which must
know the token before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.sample_utils import apply_min_p, apply_top_k, apply_top_p, greedy_sampler
from rbee.contract import Constraint, Sampling

Array = Any
"""``mx.array``, which has no types."""
Sampler = Callable[[Array], Array]
Processor = Callable[[Array, Array], Array]
"""Called with the tokens so far, the prompt's among them, and the logits, 1 x vocabulary."""


def sampler_of(sampling: Sampling) -> Sampler:
    """Draws with a generator of its own: what other requests draw beside it changes nothing.

    The greedy one is the same for all, so that the library calls it once for a batch.
    """
    if sampling.temperature == 0:
        greedy: Sampler = greedy_sampler
        return greedy
    return _Draw(sampling)


class _Draw:
    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._key = mx.random.key(sampling.seed % 2**64)

    def __call__(self, logprobs: Array) -> Array:
        sampling = self._sampling
        if sampling.top_p < 1:
            logprobs = apply_top_p(logprobs, sampling.top_p)
        if sampling.min_p > 0:
            logprobs = apply_min_p(logprobs, sampling.min_p, 1)
        if 0 < sampling.top_k < logprobs.shape[-1]:
            logprobs = apply_top_k(logprobs, sampling.top_k)
        self._key, key = mx.random.split(self._key)
        return mx.random.categorical(logprobs / sampling.temperature, key=key)


class Bias:
    """Adds to the logits of some tokens."""

    def __init__(self, bias: dict[int, float]) -> None:
        self._tokens = mx.array(list(bias))
        self._values = mx.array(list(bias.values()))

    def __call__(self, tokens: Array, logits: Array) -> Array:
        """See `Processor`."""
        return logits.at[:, self._tokens].add(self._values.astype(logits.dtype))


class Penalties:
    """The three penalties, as `Sampling` defines them.

    Args:
        sampling: with their sizes.
        prompt: tokens of the whole prompt.
    """

    def __init__(self, sampling: Sampling, prompt: Sequence[int]) -> None:
        self._sampling = sampling
        self._prompt = sorted(set(prompt))
        self._counts: Array = None
        self._seen: Array = None

    def __call__(self, tokens: Array, logits: Array) -> Array:
        """See `Processor`."""
        if self._counts is None:
            self._counts = mx.zeros((logits.shape[-1],))
            self._seen = mx.zeros((logits.shape[-1],)).at[mx.array(self._prompt)].add(1.0)
        else:
            self._counts = self._counts.at[tokens[-1:]].add(1.0)
        counts, sampling = self._counts, self._sampling
        changed = logits.astype(mx.float32)
        if (factor := sampling.repetition_penalty) != 1:
            there = (counts + self._seen) > 0
            changed = mx.where(there, mx.where(changed > 0, changed / factor, changed * factor), changed)
        return changed - sampling.frequency_penalty * counts - sampling.presence_penalty * (counts > 0)


class Kept:
    """Holds an answer to its constraint.

    Args:
        constraint: of the request.
        size: tokens of the vocabulary; logits beyond are those of none.
    """

    def __init__(self, constraint: Constraint, size: int) -> None:
        self._constraint = constraint
        self._size = size
        self._generated: list[int] | None = None

    def __call__(self, tokens: Array, logits: Array) -> Array:
        """See `Processor`."""
        if self._generated is None:
            self._generated = []
        else:
            self._generated.append(int(tokens[-1].item()))
        bits = np.frombuffer(self._constraint.mask(self._generated), dtype=np.uint8)
        allowed = np.zeros(logits.shape[-1], dtype=bool)
        size = min(self._size, logits.shape[-1])
        allowed[:size] = np.unpackbits(bits, bitorder="little")[:size]
        return mx.where(mx.array(allowed), logits, -mx.inf)


class Tap:
    """Keeps the logits as the model gave them, for log probabilities; the first of a request's processors.

    Attributes:
        logits: of each step that nobody has taken yet, oldest first.
    """

    def __init__(self) -> None:
        self.logits: list[Array] = []

    def __call__(self, tokens: Array, logits: Array) -> Array:
        """See `Processor`."""
        self.logits.append(logits[0])
        return logits

    def take(self) -> Array:
        """Log probabilities of the oldest step."""
        logits = self.logits.pop(0).astype(mx.float32)
        return logits - mx.logsumexp(logits)


def processors_of(
    sampling: Sampling, constraint: Constraint | None, prompt: Sequence[int], size: int
) -> list[Processor]:
    """What changes the logits of a request, in order; none for most."""
    found: list[Processor] = []
    neutral = Sampling()
    if any(
        getattr(sampling, name) != getattr(neutral, name)
        for name in ("repetition_penalty", "presence_penalty", "frequency_penalty")
    ):
        found.append(Penalties(sampling, prompt))
    if sampling.logit_bias:
        found.append(Bias(sampling.logit_bias))
    if constraint is not None:
        found.append(Kept(constraint, size))
    return found


def likeliest(logprobs: Array, token: int, most: int) -> tuple[float, tuple[tuple[int, float], ...]]:
    """The log probability of a token, and the likeliest tokens with theirs, likeliest first."""
    if most == 0:
        return float(logprobs[token].item()), ()
    most = min(most, logprobs.shape[-1])
    best = mx.argpartition(-logprobs, most - 1)[:most]
    ids: Any = best.tolist()
    values: Any = logprobs[best].tolist()
    top = sorted(zip(ids, values, strict=True), key=lambda one: (-one[1], one[0]))
    return float(logprobs[token].item()), tuple(top)
