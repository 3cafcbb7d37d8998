"""The head of a GGUF file: versions 2 and 3, little-endian."""

from __future__ import annotations

import re
import struct
from types import MappingProxyType
from typing import BinaryIO, Final

from rbee.contract.figures import ModelFigures
from rbee.contract.formats.gguf_tensors import Tensors, read_tensors
from rbee.contract.formats.gguf_types import GUESSED, QUANTIZATIONS
from rbee.contract.formats.gguf_values import Array, Value, read_value
from rbee.contract.formats.head import ModelHead
from rbee.contract.formats.numbers import counted
from rbee.contract.formats.reader import HeadEndsError, Reader
from rbee.contract.formats.refusals import only_refusals, refusal, truncated

MAGIC: Final = b"GGUF"
VERSIONS: Final = frozenset({2, 3})
MOST_KEYS: Final = 65_536
MOST_TENSORS: Final = 1 << 18
MOST_KEPT: Final = 256
LONGEST_KEY: Final = 65_535
MOST_KEY_BYTES: Final = 16 << 20
"""Of all keys together: they are kept until the end, to find one that stands twice."""
DEFAULT_ALIGNMENT: Final = 32
LARGEST_ALIGNMENT: Final = 1 << 20

_WANTED: Final = frozenset(
    {
        "general.architecture",
        "general.file_type",
        "general.parameter_count",
        "general.size_label",
        "general.alignment",
        "split.count",
        "split.no",
        "tokenizer.ggml.tokens",
        "tokenizer.chat_template",
    }
)
_WANTED_OF_ARCHITECTURE: Final = (
    ".context_length",
    ".block_count",
    ".embedding_length",
    ".attention.head_count",
    ".attention.head_count_kv",
    ".attention.key_length",
    ".attention.value_length",
    ".vocab_size",
    ".pooling_type",
)
_POOLINGS: Final = MappingProxyType({1: "mean", 2: "cls", 3: "last", 4: "rank"})
"""By the number behind the key `pooling_type`."""
_SIZE_LABEL: Final = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)([KMBT])(?:-A[\d.]+[KMBT])?")
_UNITS: Final = (("K", 10**3), ("M", 10**6), ("B", 10**9), ("T", 10**12))


def read_gguf(stream: BinaryIO, size: int | None, *, name: str | None = None, partial: bool = False) -> ModelHead:
    """The head of a GGUF file.

    Args:
        stream: at the file's first byte; need not be able to seek.
        size: length of the whole file; None when unknown.
        name: of the file, for messages.
        partial: the stream may end within the head; what was found until there is returned then.

    Raises:
        ModelFileError: it is no such file, or damaged, or shorter than it must be.
    """
    return read_counted(stream, size, name or str(getattr(stream, "name", "without a name")), partial=partial)[0]


def read_counted(stream: BinaryIO, size: int | None, name: str, *, partial: bool = False) -> tuple[ModelHead, int]:
    """As `read_gguf`, with the number of weights that lie in this very file, 0 when it is not known."""
    with only_refusals(name):
        reader = Reader(stream, name)
        keys: dict[str, Value] = {}
        try:
            tensors = _read(reader, keys)
        except HeadEndsError:
            if partial:
                return _head(keys, None, None), 0
            raise refusal(name, f"ends within its head, after {reader.position} bytes", "fetch it again") from None
        head = _head(keys, tensors, reader.position)
        if size is not None and head.needed_bytes is not None and size < head.needed_bytes:
            raise truncated(name, size, head.needed_bytes)
        return head, tensors.elements


def _read(reader: Reader, keys: dict[str, Value]) -> Tensors:
    _check_magic(reader)
    tensor_count = reader.u64()
    key_count = reader.u64()
    if key_count > MOST_KEYS or tensor_count > MOST_TENSORS:
        raise refusal(reader.name, f"claims {key_count} keys and {tensor_count} tensors")
    seen: set[bytes] = set()
    key_bytes = 0
    for _ in range(key_count):
        key = reader.text(LONGEST_KEY, "a key")
        key_bytes += len(key)
        told = key.decode("utf-8", "replace")
        if key in seen or key_bytes > MOST_KEY_BYTES:
            raise refusal(reader.name, f"has the key {told[:64]!r} twice, or keys beyond all measure")
        seen.add(key)
        keep = told in _WANTED or told.endswith(_WANTED_OF_ARCHITECTURE)
        value = read_value(reader, keep=keep)
        if keep:
            keys[told] = value
            if len(keys) > MOST_KEPT:
                raise refusal(reader.name, "describes more than one model")
    return read_tensors(reader, tensor_count, _alignment(reader.name, keys))


def _check_magic(reader: Reader) -> None:
    start = reader.exactly(4)
    if start != MAGIC:
        raise refusal(reader.name, "does not begin with the letters GGUF")
    version = reader.u32()
    if version in VERSIONS:
        return
    if struct.unpack(">I", struct.pack("<I", version))[0] in VERSIONS:
        raise refusal(reader.name, "is a big-endian GGUF file", "take a little-endian edition of the model")
    raise refusal(
        reader.name,
        f"is of GGUF version {version}, and versions 2 and 3 are known",
        "take a newer edition of the model" if version < 2 else "update rbee, or take another edition of the model",
    )


def _alignment(name: str, keys: dict[str, Value]) -> int:
    value = keys.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(value, int) or not 0 < value <= LARGEST_ALIGNMENT or value & (value - 1):
        raise refusal(name, f"aligns its tensors to {value!r}, which is no power of two up to {LARGEST_ALIGNMENT}")
    return value


def _head(keys: dict[str, Value], tensors: Tensors | None, head_end: int | None) -> ModelHead:
    start = needed = None
    split = counted(keys.get("split.count"))
    if tensors is not None and head_end is not None:
        start = -(-head_end // tensors.alignment) * tensors.alignment
        if tensors.end is not None:
            needed = start + tensors.end if tensors.end else head_end
    number = keys.get("split.no")
    return ModelHead(
        format="gguf",
        figures=_figures(keys, tensors, whole=split is None or split == 1),
        data_start=start,
        needed_bytes=needed,
        split_count=split,
        split_number=number if isinstance(number, int) and 0 <= number < 1 << 16 else None,
    )


def _figures(keys: dict[str, Value], tensors: Tensors | None, *, whole: bool) -> ModelFigures:
    architecture = keys.get("general.architecture")
    if not isinstance(architecture, str) or not 0 < len(architecture) <= 64 or not architecture.isprintable():
        architecture = None

    def of_model(key: str) -> Value:
        return keys.get(f"{architecture}.{key}") if architecture else None

    file_type = keys.get("general.file_type")
    tokens = keys.get("tokenizer.ggml.tokens")
    template = keys.get("tokenizer.chat_template")
    pooling = of_model("pooling_type")
    return ModelFigures(
        architecture=architecture,
        parameters=_parameters(keys, tensors, whole=whole),
        quantization=QUANTIZATIONS.get(file_type & ~GUESSED) if isinstance(file_type, int) else None,
        context_length=counted(of_model("context_length")),
        layers=_layers(of_model("block_count"), of_model("attention.head_count_kv")),
        embedding_length=counted(of_model("embedding_length")),
        heads=_largest(of_model("attention.head_count")),
        kv_heads=_largest(of_model("attention.head_count_kv")),
        key_length=_largest(of_model("attention.key_length")),
        value_length=_largest(of_model("attention.value_length")),
        vocabulary=counted(of_model("vocab_size")) or (counted(tokens.length) if isinstance(tokens, Array) else None),
        weights_bytes=tensors.size_bytes if tensors is not None and tensors.end else None,
        chat_template=template if isinstance(template, str) else None,
        pooling=_POOLINGS.get(pooling) if isinstance(pooling, int) else None,
    )


def _parameters(keys: dict[str, Value], tensors: Tensors | None, *, whole: bool) -> int | None:
    """Counted where the list of tensors is there; else as the file says."""
    if tensors is not None and tensors.elements and whole:
        return tensors.elements
    if said := counted(keys.get("general.parameter_count"), 1 << 53):
        return said
    label = keys.get("general.size_label")
    match = _SIZE_LABEL.fullmatch(label) if isinstance(label, str) and len(label) < 32 else None
    return round(float(match[1]) * dict(_UNITS)[match[2]]) or None if match else None


def _layers(blocks: Value, kv_heads: Value) -> int | None:
    """Of a model with other kinds of layers in between, those without heads for keys and values do not count."""
    count = counted(blocks)
    if count is not None and isinstance(kv_heads, Array) and len(kv_heads.numbers) == count:
        return sum(1 for number in kv_heads.numbers if number > 0) or None
    return count


def _largest(value: Value) -> int | None:
    if isinstance(value, Array):
        return max((found for number in value.numbers if (found := counted(number))), default=None)
    return counted(value)
