"""The list of tensors of a GGUF file."""

from __future__ import annotations

from typing import Final

import msgspec

from rbee.contract.formats.gguf_types import BLOCKS
from rbee.contract.formats.reader import Reader
from rbee.contract.formats.refusals import refusal

LONGEST_NAME: Final = 64 << 10
MOST_NAME_BYTES: Final = 32 << 20
"""Of all names together: they are kept until the end, to find one that stands twice."""
MOST_DIMENSIONS: Final = 8
MOST_ELEMENTS: Final = 1 << 50
"""Weights of all tensors, and bytes: far beyond any model, and small enough for every calculation."""


class Tensors(msgspec.Struct, frozen=True, kw_only=True):
    """What the list tells.

    Attributes:
        elements: weights of all tensors.
        size_bytes: of all tensors; None when a type is not known.
        end: of the last tensor, from the start of the data; None likewise.
        alignment: bytes to a multiple of which the data and every tensor begin.
    """

    alignment: int
    elements: int
    size_bytes: int | None
    end: int | None


def read_tensors(reader: Reader, count: int, alignment: int) -> Tensors:
    """The list behind the keys.

    Raises:
        ModelFileError: it is not as the format asks.
        HeadEndsError: the stream ends within it.
    """
    names: set[bytes] = set()
    spans: list[tuple[int, int]] = []
    elements = name_bytes = 0
    known = True
    for _ in range(count):
        name = reader.text(LONGEST_NAME, "a tensor's name")
        name_bytes += len(name)
        if name in names or name_bytes > MOST_NAME_BYTES:
            raise refusal(reader.name, f"lists the tensor {_shown(name)} twice, or has names beyond all measure")
        names.add(name)
        dimensions = reader.u32()
        if dimensions > MOST_DIMENSIONS:
            raise refusal(reader.name, f"gives the tensor {_shown(name)} {dimensions} dimensions")
        row, weights = 1, 1
        for index in range(dimensions):
            extent = reader.u64()
            row = extent if index == 0 else row
            weights *= extent
            if extent > MOST_ELEMENTS or weights > MOST_ELEMENTS:
                raise refusal(reader.name, f"gives the tensor {_shown(name)} more weights than any model has")
        kind = reader.u32()
        offset = reader.u64()
        if offset % alignment or offset > MOST_ELEMENTS:
            raise refusal(reader.name, f"puts the tensor {_shown(name)} at {offset}, which is out of line")
        elements += weights
        if elements > MOST_ELEMENTS:
            raise refusal(reader.name, "claims more weights than any model has")
        if kind not in BLOCKS:
            known = False
            continue
        block, block_bytes = BLOCKS[kind]
        if row % block:
            raise refusal(reader.name, f"gives the tensor {_shown(name)} rows of {row}, no multiple of {block}")
        spans.append((offset, offset + weights // block * block_bytes))
    end = _end(reader, spans)
    size = sum(stop - start for start, stop in spans)
    return Tensors(
        alignment=alignment,
        elements=elements,
        size_bytes=size if known else None,
        end=end if known else None,
    )


def _end(reader: Reader, spans: list[tuple[int, int]]) -> int:
    end = 0
    for start, stop in sorted(spans):
        if start < end and stop > start:
            raise refusal(reader.name, f"has tensors that lie over each other at {start}")
        end = max(end, stop)
    return end


def _shown(name: bytes) -> str:
    return repr(name[:64].decode("utf-8", "replace"))
