"""The head of a GGUF file, read with bounds on everything."""

from __future__ import annotations

import struct
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final

import msgspec
from rbee.contract.errors import ModelFileError

MAGIC: Final = b"GGUF"
VERSIONS: Final = frozenset({2, 3})
HEADER: Final = struct.Struct("<4sIQQ")

MOST_KEYS: Final = 65_536
MOST_TENSORS: Final = 1 << 20
LONGEST_KEY: Final = 65_535
LONGEST_TEXT: Final = 1 << 20

TEXT_TYPE: Final = 8
NUMBERS: Final = MappingProxyType(
    {
        0: "<B",
        1: "<b",
        2: "<H",
        3: "<h",
        4: "<I",
        5: "<i",
        6: "<f",
        7: "<?",
        10: "<Q",
        11: "<q",
        12: "<d",
    }
)

FILE_TYPES: Final = MappingProxyType(
    {
        0: "F32",
        1: "F16",
        2: "Q4_0",
        3: "Q4_1",
        7: "Q8_0",
        8: "Q5_0",
        9: "Q5_1",
        10: "Q2_K",
        11: "Q3_K_S",
        12: "Q3_K_M",
        13: "Q3_K_L",
        14: "Q4_K_S",
        15: "Q4_K_M",
        16: "Q5_K_S",
        17: "Q5_K_M",
        18: "Q6_K",
        32: "BF16",
    }
)
"""Quantisations by the number in ``general.file_type``; the rest is left unknown."""


class GgufHead(msgspec.Struct, frozen=True, kw_only=True):
    """What the head of a file tells.

    Attributes:
        context_length: tokens the model was made for; None when it does not stand in the part read.
        quantization: as in `FILE_TYPES`; None when unknown.
    """

    context_length: int | None = None
    quantization: str | None = None


def read_head(path: Path) -> GgufHead:
    """Check that `path` begins as a GGUF file does, and read the first, plain keys.

    Reading stops at the first list or at the tokenizer, which stand behind the keys wanted here in every file
    that llama.cpp's own converter writes; what was not found until then stays None.

    Raises:
        ModelFileError: it is not a GGUF file, of an unknown version, or cut off within its head.
    """
    try:
        with path.open("rb") as file:
            return _read(path, file)
    except OSError as error:
        raise _refusal(path, error.strerror or str(error)) from error


def _read(path: Path, file: BinaryIO) -> GgufHead:
    start = file.read(HEADER.size)
    if not start.startswith(MAGIC):
        raise _refusal(path, "it does not begin with the letters GGUF")
    if len(start) < HEADER.size:
        raise _refusal(path, f"it ends after {len(start)} bytes")
    _, version, tensors, keys = HEADER.unpack(start)
    if version not in VERSIONS:
        raise _refusal(path, f"its format version is {version}, versions 2 and 3 are known")
    if keys > MOST_KEYS or tensors > MOST_TENSORS:
        raise _refusal(path, f"its head claims {keys} keys and {tensors} tensors")
    context: int | None = None
    quantization: str | None = None
    for _ in range(keys):
        key = _text(path, file, LONGEST_KEY).decode("utf-8", "replace")
        (kind,) = struct.unpack("<I", _exactly(path, file, 4))
        if key.startswith("tokenizer.") or (kind != TEXT_TYPE and kind not in NUMBERS):
            break
        if kind == TEXT_TYPE:
            _text(path, file, LONGEST_TEXT)
            continue
        form = NUMBERS[kind]
        (value,) = struct.unpack(form, _exactly(path, file, struct.calcsize(form)))
        if key.endswith(".context_length") and isinstance(value, int) and 0 < value < 1 << 31:
            context = value
        elif key == "general.file_type" and isinstance(value, int):
            quantization = FILE_TYPES.get(value)
    return GgufHead(context_length=context, quantization=quantization)


def _text(path: Path, file: BinaryIO, longest: int) -> bytes:
    (length,) = struct.unpack("<Q", _exactly(path, file, 8))
    if length > longest:
        raise _refusal(path, f"a text in its head claims {length} bytes")
    return _exactly(path, file, length)


def _exactly(path: Path, file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise _refusal(path, "it ends within its head")
    return data


def _refusal(path: Path, reason: str) -> ModelFileError:
    return ModelFileError(
        f"model file '{path}' cannot be used: {reason}. Fetch it again or check that it is a GGUF file."
    )
