"""What the program and the process that looks into a model's files say to each other: a JSON document each way."""

from __future__ import annotations

import io
import os
from pathlib import Path

import msgspec

from rbee.contract.errors import ModelFileError
from rbee.contract.formats import ModelHead, read_gguf, read_model, read_safetensors


class Inquiry(msgspec.Struct, frozen=True, kw_only=True):
    """What to look into: a path, or the first bytes of a file.

    Attributes:
        name: of the file, for messages.
        path: as the operating system spells it; None for bytes.
        format: of the bytes, ``gguf`` or ``safetensors``.
        data: the bytes.
    """

    name: str
    path: bytes | None = None
    format: str = ""
    data: bytes = b""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found: one of the two is there.

    Attributes:
        head: of the model.
        error: why it cannot be used, for a person.
    """

    head: ModelHead | None = None
    error: str | None = None


def find(inquiry: Inquiry) -> Finding:
    """Look into it, here and now."""
    try:
        return Finding(head=_head(inquiry))
    except ModelFileError as error:
        return Finding(error=error.message)


def _head(inquiry: Inquiry) -> ModelHead:
    if inquiry.path is not None:
        return read_model(Path(os.fsdecode(inquiry.path)))
    stream = io.BytesIO(inquiry.data)
    if inquiry.format == "gguf":
        return read_gguf(stream, None, name=inquiry.name, partial=True)
    if inquiry.format == "safetensors":
        return read_safetensors(stream, None, name=inquiry.name, partial=True)
    raise ModelFileError(
        f"model file '{inquiry.name}' has the format '{inquiry.format}', whose heads are not known; "
        "take a GGUF or safetensors edition of the model"
    )
