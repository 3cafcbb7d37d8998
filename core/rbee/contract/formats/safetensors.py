"""The head of a safetensors file."""

from __future__ import annotations

from collections import Counter
from typing import BinaryIO, Final

import msgspec

from rbee.contract.figures import ModelFigures
from rbee.contract.formats.head import ModelHead
from rbee.contract.formats.reader import HeadEndsError, Reader
from rbee.contract.formats.refusals import only_refusals, refusal, truncated
from rbee.contract.formats.safetensors_types import BITS, HELPERS, PACKED, QUANTIZATIONS

LARGEST_HEAD: Final = 100_000_000
"""Bytes; the format's own limit."""
MOST_TENSORS: Final = 1 << 17
MOST_COLONS: Final = 8 * MOST_TENSORS
"""Each entry has one: what is decoded stays small."""
LONGEST_ENTRY: Final = 4096
MOST_DIMENSIONS: Final = 32
MOST_BYTES: Final = 1 << 50
"""Of all tensors: far beyond any model, and small enough for every calculation."""

_METADATA: Final = "__metadata__"
_OFFSETS: Final = b'"data_offsets"'


class _Tensor(msgspec.Struct, frozen=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]

    def elements(self) -> int:
        """Numbers in it.

        Raises:
            ValueError: more than any model has.
        """
        count = 1
        for extent in self.shape:
            if not 0 <= extent <= MOST_BYTES or (count := count * extent) > MOST_BYTES:
                raise ValueError(f"a shape that begins with {self.shape[:8]}")
        return count


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in one file.

    Attributes:
        head: of the file.
        elements: by type, tensors left out that hold no weights.
    """

    head: ModelHead
    elements: dict[str, int]


def read_safetensors(
    stream: BinaryIO, size: int | None, *, name: str | None = None, partial: bool = False
) -> ModelHead:
    """The head of a safetensors file.

    Args:
        stream: at the file's first byte; need not be able to seek.
        size: length of the whole file; None when unknown.
        name: of the file, for messages.
        partial: the stream may end within the head; what was found until there is returned then.

    Raises:
        ModelFileError: it is no such file, or damaged, or of another length than its head says.
    """
    shown = name or str(getattr(stream, "name", "without a name"))
    weights = read_weights(stream, size, shown, partial=partial)
    figures = ModelFigures(
        parameters=parameters(weights.elements, None),
        quantization=main_type(weights.elements),
        weights_bytes=weights.head.figures.weights_bytes,
    )
    return msgspec.structs.replace(weights.head, figures=figures)


def read_weights(stream: BinaryIO, size: int | None, name: str, *, partial: bool = False) -> Weights:
    """As `read_safetensors`, with the weights by type."""
    with only_refusals(name):
        reader = Reader(stream, name)
        length: int | None = None
        try:
            length = reader.u64()
            if length > LARGEST_HEAD or (size is not None and length + 8 > size):
                raise refusal(name, f"is truncated or no safetensors file: its head would have {length} bytes")
            return _weights(name, reader.exactly(length), size)
        except HeadEndsError:
            if not partial:
                raise refusal(name, "ends within its head", "fetch it again") from None
            start = None if length is None else length + 8
            head = ModelHead(format="safetensors", figures=ModelFigures(), data_start=start, needed_bytes=start)
            return Weights(head=head, elements={})


def parameters(elements: dict[str, int], bits: int | None) -> int | None:
    """The number of weights.

    Args:
        elements: by type.
        bits: of a quantised weight, where several are packed into one element; None when they are not.
    """
    count = 0
    for kind, number in elements.items():
        packed = bits is not None and kind in PACKED
        count += number * BITS[kind] // bits if packed and bits else number
    return count or None


def main_type(elements: dict[str, int]) -> str | None:
    """What most weights are, as a quantisation; None for a type that has no such name."""
    most = max(elements, key=lambda kind: elements[kind], default=None)
    return QUANTIZATIONS.get(most) if most else None


def _weights(name: str, data: bytes, size: int | None) -> Weights:
    if not data.startswith(b"{"):
        raise refusal(name, "is no safetensors file: its head is no JSON object")
    if data.count(b":") > MOST_COLONS or data.count(_OFFSETS) > MOST_TENSORS:
        raise refusal(name, f"lists more than {MOST_TENSORS} tensors")
    entries = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    metadata = bytes(entries.pop(_METADATA, msgspec.Raw(b"")))
    # An entry that stands twice is lost in the decoding and still counts here.
    if data.count(_OFFSETS) != len(entries) + metadata.count(_OFFSETS):
        raise refusal(name, "lists a tensor twice")
    decoder = msgspec.json.Decoder(_Tensor)
    spans: list[tuple[int, int]] = []
    elements: Counter[str] = Counter()
    for key, raw in entries.items():
        if len(memoryview(raw)) > LONGEST_ENTRY:
            raise refusal(name, f"describes the tensor {key[:64]!r} at too great a length")
        tensor = decoder.decode(raw)
        start, end = tensor.data_offsets
        if not 0 <= start <= end <= MOST_BYTES or len(tensor.shape) > MOST_DIMENSIONS:
            raise refusal(name, f"puts the tensor {key[:64]!r} where none can lie")
        count = tensor.elements()
        bits = BITS.get(tensor.dtype)
        if bits is not None and count * bits != (end - start) * 8:
            raise refusal(name, f"gives the tensor {key[:64]!r} {end - start} bytes, which its shape does not fill")
        spans.append((start, end))
        if bits is not None and not key.endswith(HELPERS):
            elements[tensor.dtype] += count
    data_bytes = _joined(name, spans)
    start = 8 + len(data)
    if size is not None and size != start + data_bytes:
        if size < start + data_bytes:
            raise truncated(name, size, start + data_bytes)
        raise refusal(name, f"has {size} bytes, and its head speaks of {start + data_bytes}")
    figures = ModelFigures(weights_bytes=data_bytes or None)
    head = ModelHead(format="safetensors", figures=figures, data_start=start, needed_bytes=start + data_bytes)
    return Weights(head=head, elements=dict(elements))


def _joined(name: str, spans: list[tuple[int, int]]) -> int:
    """The length of the data, which the tensors fill without gap or overlap."""
    at = 0
    for start, end in sorted(spans):
        if start != at:
            what = "over each other" if start < at else "with a gap between them"
            raise refusal(name, f"has tensors that lie {what} at {min(start, at)}")
        at = end
    return at
