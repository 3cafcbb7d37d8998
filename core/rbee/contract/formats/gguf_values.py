"""Values behind the keys of a GGUF file."""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import Final

import msgspec

from rbee.contract.formats.reader import Reader
from rbee.contract.formats.refusals import refusal

TEXT: Final = 8
ARRAY: Final = 9
NUMBERS: Final = MappingProxyType(
    {
        0: struct.Struct("<B"),
        1: struct.Struct("<b"),
        2: struct.Struct("<H"),
        3: struct.Struct("<h"),
        4: struct.Struct("<I"),
        5: struct.Struct("<i"),
        6: struct.Struct("<f"),
        7: struct.Struct("<?"),
        10: struct.Struct("<Q"),
        11: struct.Struct("<q"),
        12: struct.Struct("<d"),
    }
)

LONGEST_TEXT: Final = 64 << 20
"""Bytes of a text that is passed over; some converters put a whole tokenizer into one."""
LONGEST_KEPT: Final = 256 << 10
MOST_TEXTS: Final = 1 << 22
MOST_NUMBERS_KEPT: Final = 4096


class Array(msgspec.Struct, frozen=True):
    """An array.

    Attributes:
        length: of its elements.
        numbers: the elements; empty for texts, and for more than are kept.
    """

    length: int
    numbers: tuple[int | float, ...] = ()


Value = int | float | str | Array | None
"""None for a text that is too long to be kept, or not UTF-8."""


def read_value(reader: Reader, *, keep: bool) -> Value:
    """The type and the value that follow a key.

    Args:
        reader: stands behind the key.
        keep: the value is wanted; else it is passed over and None.

    Raises:
        ModelFileError: it is not as the format asks, or larger than any model needs.
        HeadEndsError: the stream ends within it.
    """
    kind = reader.u32()
    if kind == TEXT:
        return _text(reader, keep=keep)
    if kind == ARRAY:
        return _array(reader, keep=keep)
    return _numbers(reader, kind, 1)[0]


def _text(reader: Reader, *, keep: bool) -> str | None:
    length = reader.u64()
    if length > LONGEST_TEXT:
        raise refusal(reader.name, f"has a text of {length} bytes, more than {LONGEST_TEXT}")
    if not keep or length > LONGEST_KEPT:
        reader.skip(length)
        return None
    try:
        return reader.exactly(length).decode("utf-8")
    except UnicodeDecodeError:
        return None


def _array(reader: Reader, *, keep: bool) -> Array:
    kind = reader.u32()
    count = reader.u64()
    if kind == ARRAY:
        raise refusal(reader.name, "has an array of arrays, which no model needs")
    if kind == TEXT:
        if count > MOST_TEXTS:
            raise refusal(reader.name, f"has an array of {count} texts, more than {MOST_TEXTS}")
        reader.skip_texts(count, LONGEST_TEXT, "a text")
        return Array(count)
    if keep and count <= MOST_NUMBERS_KEPT:
        return Array(count, _numbers(reader, kind, count))
    reader.skip(_size(reader, kind) * count)
    return Array(count)


def _numbers(reader: Reader, kind: int, count: int) -> tuple[int | float, ...]:
    size = _size(reader, kind)
    return tuple(value for (value,) in NUMBERS[kind].iter_unpack(reader.exactly(size * count)))


def _size(reader: Reader, kind: int) -> int:
    if kind not in NUMBERS:
        raise refusal(reader.name, f"has a value of the unknown type {kind}")
    return NUMBERS[kind].size
