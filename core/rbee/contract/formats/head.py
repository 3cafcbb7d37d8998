"""What the head of a model's file tells."""

from __future__ import annotations

import msgspec

from rbee.contract.figures import ModelFigures


class ModelHead(msgspec.Struct, frozen=True, kw_only=True):
    """Of one file, or of all files of a model.

    Attributes:
        format: ``gguf``, ``safetensors``, or ``exl2`` or ``exl3``: weights in safetensors files that
            only some engines read.
        figures: of the model, as far as they stand in what was read.
        data_start: where the first tensor begins, in bytes; None when the head was not read to its end, and for
            several files.
        needed_bytes: least length the whole file must have, of several files their sum; None when unknown.
        split_count: files the model was split into; None when it says nothing of it.
        split_number: which of them this is, from 0.
    """

    format: str
    figures: ModelFigures
    data_start: int | None = None
    needed_bytes: int | None = None
    split_count: int | None = None
    split_number: int | None = None
