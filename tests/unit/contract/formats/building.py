"""Model files made by hand, right and wrong."""

from __future__ import annotations

import json
import struct
from pathlib import Path

DEMO = Path(__file__).parents[4] / "plugins/demo/rbee_demo/data/rbee-tiny-q8_0.gguf"

U8, I8, U16, I16, U32, I32, F32, BOOL, TEXT, ARRAY, U64, I64, F64 = range(13)
FORMS = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?", U64: "Q", I64: "q", F64: "d"}
Q4_0, Q4_K, F16_TENSOR, UNKNOWN_TENSOR = 2, 12, 1, 99


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, content):
    """A value with its type before it; of an array `content` is the type of its elements and the elements."""
    if kind == TEXT:
        return struct.pack("<I", TEXT) + text(content)
    if kind == ARRAY:
        inner, elements = content
        packed = [text(one) if inner == TEXT else struct.pack("<" + FORMS[inner], one) for one in elements]
        return struct.pack("<IIQ", ARRAY, inner, len(elements)) + b"".join(packed)
    return struct.pack("<I" + FORMS[kind], kind, content)


def pair(key, kind, content):
    return text(key) + value(kind, content)


def tensor(name="t", dims=(32,), kind=Q4_0, offset=0):
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def gguf(pairs=(), tensors=(), *, data=b"", version=3, keys=None, count=None, magic=b"GGUF", alignment=32):
    """A whole file; `keys` and `count` are claimed instead of the true numbers."""
    head = struct.pack(
        "<4sIQQ", magic, version, len(tensors) if count is None else count, len(pairs) if keys is None else keys
    )
    head += b"".join(pairs) + b"".join(tensors)
    return head + bytes(-len(head) % alignment) + data if data else head


LLAMA = (
    pair("general.architecture", TEXT, "llama"),
    pair("general.file_type", U32, 15),
    pair("llama.context_length", U32, 4096),
    pair("llama.block_count", U32, 3),
    pair("llama.embedding_length", U64, 512),
    pair("llama.attention.head_count", U32, 8),
    pair("llama.attention.head_count_kv", U32, 2),
    pair("llama.attention.key_length", I32, 64),
    pair("llama.attention.value_length", U16, 48),
    pair("tokenizer.ggml.tokens", ARRAY, (TEXT, ["<s>", "a", "bc", ""])),
    pair("tokenizer.ggml.scores", ARRAY, (F32, [0.0, 1.0, float("nan"), 2.0])),
    pair("tokenizer.chat_template", TEXT, "{{ messages }}"),
)


def small_gguf(extra=(), **options):
    """A good file with two tensors."""
    tensors = (tensor("a", (64, 2), Q4_0, 0), tensor("b", (5,), F16_TENSOR, 96))
    return gguf((*LLAMA, *extra), tensors, data=bytes(96 + 10), **options)


def safetensors(entries, data=b"", *, head=None, length=None):
    """A whole file; `head` and `length` are written instead of what belongs there."""
    told = json.dumps(entries).encode() if head is None else head
    return struct.pack("<Q", len(told) if length is None else length) + told + data


def entry(dtype, shape, start, end):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def small_safetensors():
    """A good file: three F16 tensors, one of them empty."""
    entries = {
        "__metadata__": {"format": "pt"},
        "b": entry("F16", (3, 2), 8, 20),
        "a": entry("F16", (4,), 0, 8),
        "empty": entry("F16", (0, 7), 20, 20),
    }
    return safetensors(entries, bytes(20))


CONFIG = {
    "model_type": "qwen3",
    "max_position_embeddings": 2048,
    "num_hidden_layers": 4,
    "hidden_size": 256,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "vocab_size": 1000,
    "torch_dtype": "bfloat16",
}


def folder_of(place, config=None, **files):
    """A folder with a configuration and one weight file; of the further files ``__`` stands for a point."""
    place.mkdir(exist_ok=True)
    (place / "config.json").write_text(json.dumps(CONFIG if config is None else config))
    (place / "model.safetensors").write_bytes(small_safetensors())
    for name, content in files.items():
        (place / name.replace("__", ".")).write_text(content if isinstance(content, str) else json.dumps(content))
    return place
