"""GGUF files made of a real one: with other keys, with more tensors, or as an adapter for it."""

from __future__ import annotations

import math
import random
import struct
from pathlib import Path
from types import MappingProxyType
from typing import Final

_ALIGNMENT: Final = 32
_UINT32, _FLOAT32, _STRING, _ARRAY = 4, 6, 8, 9
_F32: Final = 0
_WIDTHS: Final = MappingProxyType({0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8})
"""Bytes of a value by its type."""

Key = tuple[int, bytes]
"""Type and raw value."""


def uint32(value: int) -> Key:
    """A whole number as the value of a key."""
    return _UINT32, struct.pack("<I", value)


def float32(value: float) -> Key:
    """A number as the value of a key."""
    return _FLOAT32, struct.pack("<f", value)


def string(value: str) -> Key:
    """A text as the value of a key."""
    return _STRING, _text(value)


def strings(values: list[str]) -> Key:
    """Texts as the value of a key."""
    return _ARRAY, struct.pack("<IQ", _STRING, len(values)) + b"".join(map(_text, values))


def noise(count: int, seed: int, deviation: float = 0.02) -> bytes:
    """Random numbers around 0 as the data of an F32 tensor."""
    draw = random.Random(seed)  # noqa: S311 - noise
    return struct.pack(f"<{count}f", *(draw.gauss(0, deviation) for _ in range(count)))


class Gguf:
    """A file taken apart, or one to be written.

    Attributes:
        keys: by name, in their order.
        tensors: shape, type and raw data by name, in their order.

    Args:
        path: of a whole file of version 3; None begins with an empty one.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.keys: dict[str, Key] = {}
        self.tensors: dict[str, tuple[tuple[int, ...], int, bytes]] = {}
        if path is not None:
            self._read(Path(path).read_bytes())

    def number(self, name: str) -> int:
        """A key that is a uint32."""
        kind, raw = self.keys[name]
        if kind != _UINT32:
            raise TypeError(f"{name} is no uint32")
        return int.from_bytes(raw, "little")

    def add(self, name: str, shape: tuple[int, ...], data: bytes) -> None:
        """An F32 tensor."""
        if len(data) != 4 * math.prod(shape):
            raise ValueError(f"{name} has {len(data)} bytes")
        self.tensors[name] = (shape, _F32, data)

    def write(self, path: Path) -> Path:
        """Put it together again."""
        infos, blobs, at = b"", [], 0
        for name, (shape, kind, data) in self.tensors.items():
            infos += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, at)
            blobs.append(data + bytes(-len(data) % _ALIGNMENT))
            at += len(blobs[-1])
        head = struct.pack("<4sIQQ", b"GGUF", 3, len(self.tensors), len(self.keys))
        head += b"".join(_text(name) + struct.pack("<I", kind) + raw for name, (kind, raw) in self.keys.items())
        head += infos
        with path.open("wb") as file:
            file.write(head + bytes(-len(head) % _ALIGNMENT))
            file.writelines(blobs)
        return path

    def _read(self, data: bytes) -> None:
        _, _, tensors, keys = struct.unpack_from("<4sIQQ", data)
        at = 24
        for _ in range(keys):
            name, at = _text_at(data, at)
            (kind,) = struct.unpack_from("<I", data, at)
            end = _behind(data, at + 4, kind)
            self.keys[name] = (kind, data[at + 4 : end])
            at = end
        infos = []
        for _ in range(tensors):
            name, at = _text_at(data, at)
            (rank,) = struct.unpack_from("<I", data, at)
            *shape, kind, offset = struct.unpack_from(f"<{rank}QIQ", data, at + 4)
            infos.append((name, tuple(shape), kind, offset))
            at += 16 + 8 * rank
        start = at + -at % _ALIGNMENT
        ends = [*(start + offset for *_, offset in infos[1:]), len(data)]
        for (name, dimensions, kind, offset), end in zip(infos, ends, strict=True):
            self.tensors[name] = (dimensions, kind, data[start + offset : end])


def pooled(model: Path, path: Path, pooling: int = 1) -> Path:
    """A model for embeddings, made of one that generates: its file says how its tokens' vectors become one."""
    made = Gguf(model)
    made.keys["llama.pooling_type"] = uint32(pooling)
    return made.write(path)


def reranker(model: Path, path: Path) -> Path:
    """A model that ranks, built as Qwen3's are, of the weights of another one: what it says means nothing."""
    made = Gguf(model)
    made.keys = {
        f"qwen3{name.removeprefix('llama')}" if name.startswith("llama.") else name: value
        for name, value in made.keys.items()
    }
    made.keys["general.architecture"] = string("qwen3")
    made.keys["qwen3.pooling_type"] = uint32(4)
    made.keys["qwen3.classifier.output_labels"] = strings(["yes", "no"])
    made.keys["tokenizer.chat_template.rerank"] = string("Query: {query}\nDocument: {document}\nRelevant?")
    width, heads = made.number("qwen3.embedding_length"), made.number("qwen3.attention.head_count")
    ones = struct.pack("<f", 1) * (width // heads)
    for layer in range(made.number("qwen3.block_count")):
        for part in "qk":
            made.add(f"blk.{layer}.attn_{part}_norm.weight", (width // heads,), ones)
    made.add("cls.output.weight", (width, 2), noise(2 * width, seed=5))
    return made.write(path)


def adapter(model: Path, path: Path, *, rank: int = 4, deviation: float = 0.3) -> Path:
    """A LoRA adapter that bends the output of every block of a model beyond recognition."""
    made = Gguf()
    made.keys = {
        "general.architecture": string("llama"),
        "general.type": string("adapter"),
        "adapter.type": string("lora"),
        "adapter.lora.alpha": float32(rank),
    }
    for seed, (name, (shape, *_)) in enumerate(Gguf(model).tensors.items()):
        if name.endswith("ffn_down.weight"):
            made.add(f"{name}.lora_a", (shape[0], rank), noise(shape[0] * rank, seed, deviation))
            made.add(f"{name}.lora_b", (rank, shape[1]), noise(shape[1] * rank, -seed, deviation))
    return made.write(path)


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _text_at(data: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<Q", data, at)
    return data[at + 8 : at + 8 + length].decode(), at + 8 + length


def _behind(data: bytes, at: int, kind: int) -> int:
    """Where a value ends."""
    if kind == _STRING:
        return int(at + 8 + struct.unpack_from("<Q", data, at)[0])
    if kind != _ARRAY:
        return at + _WIDTHS[kind]
    inner, count = struct.unpack_from("<IQ", data, at)
    at += 12
    for _ in range(count):
        at = _behind(data, at, inner)
    return at
