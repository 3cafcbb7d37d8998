"""Sampling parameters that are applied to the logits of one request, on the processor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rbee.contract.token_engine import Sampling
from rbee.contract.tokenizer import PackedMask

Logits = NDArray[np.float32]


def plain(sampling: Sampling) -> bool:
    """Whether the logits stay as the model gives them."""
    return (
        sampling.repetition_penalty == 1
        and sampling.presence_penalty == 0
        and sampling.frequency_penalty == 0
        and not sampling.logit_bias
    )


def shaped(
    logits: Logits, sampling: Sampling, prompt: Sequence[int], answer: Sequence[int], mask: PackedMask | None
) -> Logits:
    """A copy of one token's logits with biases and penalties, and without what may not come.

    Biases come first and the mask last.  The factor of the repetition penalty goes over prompt and answer, the other
    penalties over the answer.

    Args:
        logits: of shape (n,), n at least the vocabulary; those behind it belong to no token.
        sampling: of the request.
        prompt: its tokens.
        answer: tokens so far.
        mask: what may come; None for anything.
    """
    result = np.array(logits, dtype=np.float32)
    for token, bias in sampling.logit_bias.items():
        if 0 <= token < result.size:
            result[token] += bias
    if sampling.repetition_penalty != 1:
        seen = np.unique(np.array([*prompt, *answer], dtype=np.int64))
        old = result[seen]
        factor = np.float32(sampling.repetition_penalty)
        result[seen] = np.where(old > 0, old / factor, old * factor)
    if answer and (sampling.presence_penalty or sampling.frequency_penalty):
        tokens, times = np.unique(np.array(answer, dtype=np.int64), return_counts=True)
        penalties = sampling.presence_penalty + sampling.frequency_penalty * times
        result[tokens] -= penalties.astype(np.float32)
    if mask is not None:
        allowed = np.unpackbits(np.frombuffer(mask, dtype=np.uint8), bitorder="little")[: result.size] == 1
        result[: allowed.size][~allowed] = -np.inf
        result[allowed.size :] = -np.inf
    return result


def log_probabilities(logits: Logits, size: int) -> NDArray[np.float64]:
    """Natural logarithms of the probabilities of the vocabulary's tokens.

    Args:
        logits: of one token, of shape (n,).
        size: of the vocabulary, at most n.
    """
    values = logits[:size].astype(np.float64)
    values -= values.max()
    result: NDArray[np.float64] = values - np.log(np.exp(values).sum())
    return result


def likeliest(logprobs: NDArray[np.float64], count: int) -> tuple[tuple[int, float], ...]:
    """The first `count` tokens by their probability, the lower id first where two have the same."""
    count = min(count, logprobs.size)
    order = np.argsort(-logprobs, kind="stable")[:count]
    return tuple((int(token), float(logprobs[token])) for token in order)
