"""How much memory a worker will need: an estimate from a model's figures, made before anything is fetched."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rbee.contract.figures import ModelFigures
from rbee.contract.types import ModelVariant
from rbee.contract.wire import LearnedMemory

DEFAULT_CONTEXT = 8192
"""Tokens a slot when nobody asked for more or less; a model's own length where that is shorter."""

ROUGH = 1.2
"""Memory over weights where the figures for a better estimate are missing."""

_BASE = 128 * 1024 * 1024
"""The process itself with its inference library, whatever it loads."""

_BATCH = 512
"""Tokens of a prompt that are computed in one go."""

_WIDTHS = 4
"""Hidden states that are kept side by side for each of these tokens."""

_NUMBER = 4
_HALF = 2
"""Bytes of a number in computation, and of one in the cache."""

_LAYERS = 32
"""Of a model that does not tell how many it has."""

_BELIEVED = 1 << 60
"""Figures come out of files that anybody may have written: a part of this size is taken for unknown."""


_NOTHING = ModelFigures()


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Memory of one worker.

    Attributes:
        weights_bytes: of all tensors; None when unknown.
        cache_bytes: keys and values of all slots; None when a figure for it is missing.
        overhead_bytes: buffers of the computation and the process itself; None where the total is rough.
        total_bytes: the sum, `reserve_bytes` included; `ROUGH` times the weights where the cache is unknown; None when
            the weights are.
        rough: the total is no sum of its parts.
        context_length: tokens a slot that it was made for.
        slots: requests at the same time, likewise.
        reserve_bytes: of the total, what was learned of workers; below 0 where they needed less than their parts.
        seen: what was learned; None for nothing.
        because: words for where that was; empty when it has changed nothing.
        further_bytes: what the total grows by with every device beyond the first that the model is spread over: a
            process's and a computation's buffers there, and as models are cut between layers, two layers.
    """

    weights_bytes: int | None
    cache_bytes: int | None
    overhead_bytes: int | None
    total_bytes: int | None
    rough: bool
    context_length: int
    slots: int
    reserve_bytes: int = 0
    seen: LearnedMemory | None = None
    because: str = ""
    further_bytes: int = 0

    def over(self, devices: int) -> Estimate:
        """The same for a worker whose model is spread over so many devices, of all of them together."""
        if devices <= 1 or self.total_bytes is None:
            return self
        more = (devices - 1) * self.further_bytes
        overhead = None if self.overhead_bytes is None else self.overhead_bytes + more
        return msgspec.structs.replace(self, total_bytes=self.total_bytes + more, overhead_bytes=overhead)

    @property
    def plain_bytes(self) -> int | None:
        """What follows from the figures alone; None when nothing does."""
        parts_known = self.total_bytes is not None and self.weights_bytes is not None
        return (self.total_bytes or 0) - self.reserve_bytes if parts_known else None


def estimate(variant: ModelVariant, context_length: int | None = None, slots: int = 1) -> Estimate:
    """What a worker for a variant will need on its device.

    Weights: as the figures tell, else the size of the files.  Cache: layers x heads for which keys and values are kept
    x (length of a key + length of a value) x 2 bytes x tokens a slot x slots.  Overhead: 128 MiB, and 4 bytes for each
    of 512 tokens x (vocabulary + 4 x width of the hidden state), or a twentieth of the weights where those two are
    unknown.

    Args:
        variant: with its figures, as far as they are known.
        context_length: tokens a slot; None for the model's own, up to `DEFAULT_CONTEXT`.  Never beyond the model's own.
        slots: requests at the same time.
    """
    figures = variant.figures or ModelFigures()
    own = _known(figures.context_length) or _known(variant.context_length)
    tokens = context_length or DEFAULT_CONTEXT
    tokens = tokens if own is None else min(tokens, own)
    weights = _known(figures.weights_bytes)
    if weights is None and variant.files:
        # Whoever keeps its files elsewhere, another program for one, has some size all the same.
        weights = variant.size_bytes
    cache = _cache(figures, tokens, slots)
    if weights is None or cache is None:
        return Estimate(
            weights_bytes=weights,
            cache_bytes=cache,
            overhead_bytes=None,
            total_bytes=None if weights is None else int(weights * ROUGH),
            rough=True,
            context_length=tokens,
            slots=slots,
            further_bytes=0 if weights is None else _further(figures, weights, 0),
        )
    overhead = _overhead(figures, weights)
    return Estimate(
        weights_bytes=weights,
        cache_bytes=cache,
        overhead_bytes=overhead,
        total_bytes=weights + cache + overhead,
        rough=False,
        context_length=tokens,
        slots=slots,
        further_bytes=_further(figures, weights, cache),
    )


def shared(figures: ModelFigures) -> ModelFigures:
    """What holds of every variant of a model when it is known of one: neither its weights nor its template."""
    return msgspec.structs.replace(figures, quantization=None, weights_bytes=None, parameters=None, chat_template=None)


def completed(figures: ModelFigures, others: ModelFigures) -> ModelFigures:
    """The figures, with those of `others` for what they do not tell."""
    lacking = {
        name: value
        for name in figures.__struct_fields__
        if getattr(figures, name) is None and (value := getattr(others, name)) is not None
    }
    return msgspec.structs.replace(figures, **lacking) if lacking else figures


def pooled(variants: Sequence[ModelVariant]) -> tuple[ModelVariant, ...]:
    """The variants of one model, each with what is known of any of them and holds of all."""
    common = _NOTHING
    for variant in variants:
        if variant.figures is not None:
            common = completed(common, shared(variant.figures))
    if common is _NOTHING:
        return tuple(variants)
    return tuple(
        msgspec.structs.replace(variant, figures=completed(variant.figures or _NOTHING, common)) for variant in variants
    )


def _cache(figures: ModelFigures, tokens: int, slots: int) -> int | None:
    layers, heads = _known(figures.layers), _known(figures.heads)
    width = _known(figures.embedding_length)
    # A model that does not say otherwise keeps keys and values for every head, and divides its width among them.
    kv_heads = _known(figures.kv_heads) or heads
    share = None if width is None or heads is None else width // heads
    key = _known(figures.key_length) or share
    value = _known(figures.value_length) or share
    if layers is None or kv_heads is None or key is None or value is None:
        return None
    size = layers * kv_heads * (key + value) * _HALF * tokens * slots
    return size if size < _BELIEVED else None


def _overhead(figures: ModelFigures, weights: int) -> int:
    vocabulary, width = _known(figures.vocabulary), _known(figures.embedding_length)
    if vocabulary is None or width is None:
        return _BASE + weights // 20
    return _BASE + _BATCH * _NUMBER * (vocabulary + _WIDTHS * width)


def _further(figures: ModelFigures, weights: int, cache: int) -> int:
    return _overhead(figures, weights) + 2 * ((weights + cache) // (_known(figures.layers) or _LAYERS))


def _known(figure: int | None) -> int | None:
    """A figure that can be meant."""
    return figure if figure is not None and 0 < figure < _BELIEVED else None
