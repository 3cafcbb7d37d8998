"""Folders as Hugging Face's libraries write them."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TypeVar

import msgspec
from rbee.contract.errors import ModelFileError

T = TypeVar("T")

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
LARGEST_JSON = 16 * 1024 * 1024
LARGEST_HEAD = 100_000_000
"""Bytes; the safetensors format's own limit."""


class Config(msgspec.Struct):
    """What is read of ``config.json``."""

    max_position_embeddings: int | None = None


class Index(msgspec.Struct):
    """Which tensor lies in which file."""

    weight_map: dict[str, str]


def safetensors_in(folder: Path) -> tuple[Path, ...]:
    """The weight files of a safetensors model, sorted; empty when the folder holds none.

    Raises:
        ModelFileError: a file of the index is missing, or one is cut off.
    """
    weights = tuple(sorted(folder.glob("*.safetensors")))
    if not weights or not (folder / CONFIG).is_file():
        return ()
    if (folder / INDEX).is_file():
        wanted = set(_read(folder / INDEX, Index).weight_map.values())
        if missing := sorted(wanted - {path.name for path in weights}):
            raise ModelFileError(
                f"model folder '{folder}' lacks '{missing[0]}' ({len(missing)} missing); fetch it again"
            )
    for path in weights:
        _check_head(path)
    return weights


def context_length(folder: Path) -> int | None:
    """Tokens the model was made for, from its configuration.

    Raises:
        ModelFileError: the configuration is not what it must be.
    """
    length = _read(folder / CONFIG, Config).max_position_embeddings
    return length if length is not None and 0 < length < 1 << 31 else None


def _read(path: Path, shape: type[T]) -> T:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_JSON + 1)
        if len(data) > LARGEST_JSON:
            raise ModelFileError(f"'{path}' is larger than {LARGEST_JSON >> 20} MiB; check what it is")
        return msgspec.json.decode(data, type=shape)
    except (OSError, msgspec.MsgspecError) as error:
        raise ModelFileError(f"'{path}' cannot be read as a model's JSON file: {error}; fetch it again") from error


def _check_head(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(9)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise ModelFileError(
            f"model file '{path}' cannot be read: {error.strerror or error}; check its permissions"
        ) from error
    head = struct.unpack("<Q", start[:8])[0] if len(start) == 9 else 0
    if start[8:] != b"{" or head > LARGEST_HEAD or head + 8 > size:
        raise ModelFileError(f"model file '{path}' is truncated or not a safetensors file; fetch it again")
