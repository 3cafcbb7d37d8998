"""What the head of a model's files tells about the model: figures for lists, plans and estimates of memory."""

from __future__ import annotations

import msgspec


class ModelFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one model; None for what its files do not tell.

    Attributes:
        architecture: ``llama``, ``qwen3``, ...; GGUF's ``general.architecture``, or ``model_type`` of ``config.json``.
        parameters: number of weights.
        quantization: as `ModelVariant.quantization`.
        context_length: tokens the model was made for.
        layers: blocks that keep keys and values for each token.
        embedding_length: width of the hidden state.
        heads: attention heads of a layer.
        kv_heads: heads of a layer for which keys and values are kept; the largest where layers differ.
        key_length: numbers a key has, for one head.
        value_length: numbers a value has, for one head.
        vocabulary: tokens there are.
        weights_bytes: of all tensors.
        chat_template: text of the model's own template.
        pooling: how the vectors of a text's tokens become one, which models for embeddings say: ``mean``, ``cls``,
            ``last``, or ``rank`` for one that rates answers.
    """

    architecture: str | None = None
    parameters: int | None = None
    quantization: str | None = None
    context_length: int | None = None
    layers: int | None = None
    embedding_length: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    key_length: int | None = None
    value_length: int | None = None
    vocabulary: int | None = None
    weights_bytes: int | None = None
    chat_template: str | None = None
    pooling: str | None = None
