"""GGUF files written by hand."""

from __future__ import annotations

import random
import struct
from types import MappingProxyType
from typing import Final

_ALIGNMENT: Final = 32
_U16, _U32, _F32, _TEXT, _LIST = 2, 4, 6, 8, 9
_F32_TENSOR, _F16_TENSOR = 0, 1

FILE_TYPES: Final = MappingProxyType(
    {
        "F32": 0,
        "F16": 1,
        "Q4_0": 2,
        "Q4_1": 3,
        "Q8_0": 7,
        "Q5_0": 8,
        "Q5_1": 9,
        "Q2_K": 10,
        "Q3_K_S": 11,
        "Q3_K_M": 12,
        "Q3_K_L": 13,
        "Q4_K_S": 14,
        "Q4_K_M": 15,
        "Q5_K_S": 16,
        "Q5_K_M": 17,
        "Q6_K": 18,
        "IQ4_XS": 30,
        "BF16": 32,
    }
)
"""What ``general.file_type`` says."""


def gguf_bytes(
    *,
    architecture: str = "llama",
    quantization: str = "Q8_0",
    context_length: int = 2048,
    layers: int = 2,
    embedding_length: int = 64,
    heads: int = 4,
    kv_heads: int = 2,
    vocabulary: int = 16,
    chat_template: str | None = None,
    split: tuple[int, int] | None = None,
    seed: int = 0,
    padding: int = 0,
) -> bytes:
    """A whole GGUF file of version 3: keys, a small tokenizer, tensors, and noise as their data.

    Args:
        architecture: ``general.architecture``.
        quantization: told in the head, of `FILE_TYPES`; the tensors are F16 whatever it says.
        context_length: tokens it is made for.
        layers: blocks.
        embedding_length: width of the hidden state.
        heads: attention heads.
        kv_heads: of them with keys and values.
        vocabulary: tokens.
        chat_template: of the tokenizer.
        split: number of this part, from 0, and count of all.
        seed: of the noise.
        padding: elements of one more tensor, for a larger file.
    """
    keys = [
        _key("general.architecture", _TEXT, _text(architecture)),
        _key("general.name", _TEXT, _text("a sample")),
        _key("general.file_type", _U32, struct.pack("<I", FILE_TYPES.get(quantization, 7))),
        _number(architecture, "context_length", context_length),
        _number(architecture, "block_count", layers),
        _number(architecture, "embedding_length", embedding_length),
        _number(architecture, "feed_forward_length", 2 * embedding_length),
        _number(architecture, "attention.head_count", heads),
        _number(architecture, "attention.head_count_kv", kv_heads),
        _key(f"{architecture}.rope.freq_base", _F32, struct.pack("<f", 10_000.0)),
        _key("tokenizer.ggml.model", _TEXT, _text("gpt2")),
        _key("tokenizer.ggml.tokens", _LIST, _texts([f"token{number}" for number in range(vocabulary)])),
    ]
    if chat_template is not None:
        keys.append(_key("tokenizer.chat_template", _TEXT, _text(chat_template)))
    if split is not None:
        keys += [
            _key("split.no", _U16, struct.pack("<H", split[0])),
            _key("split.count", _U16, struct.pack("<H", split[1])),
            _key("split.tensors.count", 5, struct.pack("<i", 2 * split[1])),
        ]
    part = 0 if split is None else split[0]
    tensors: list[tuple[str, tuple[int, ...], int, int]] = [
        (f"blk.{part}.attn_norm.weight", (embedding_length,), _F32_TENSOR, 4)
    ]
    tensors.append((f"blk.{part}.attn_q.weight", (embedding_length, embedding_length), _F16_TENSOR, 2))
    if part == 0:
        tensors.append(("token_embd.weight", (embedding_length, vocabulary), _F16_TENSOR, 2))
    if padding:
        tensors.append((f"blk.{part}.ffn_up.weight", (padding,), _F16_TENSOR, 2))
    infos, data = b"", 0
    for name, shape, kind, width in tensors:
        infos += _text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape) + struct.pack("<IQ", kind, data)
        size = width
        for length in shape:
            size *= length
        data += size + -size % _ALIGNMENT
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys)) + b"".join(keys) + infos
    return head + b"\0" * (-len(head) % _ALIGNMENT) + random.Random(seed).randbytes(data)  # noqa: S311 - noise


def _key(name: str, kind: int, value: bytes) -> bytes:
    return _text(name) + struct.pack("<I", kind) + value


def _number(architecture: str, name: str, value: int) -> bytes:
    return _key(f"{architecture}.{name}", _U32, struct.pack("<I", value))


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _texts(values: list[str]) -> bytes:
    return struct.pack("<IQ", _TEXT, len(values)) + b"".join(_text(value) for value in values)
