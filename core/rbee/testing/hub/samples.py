"""Small repositories of every form that models come in, written by hand: files for `Hub.add`.

Their heads are true and their weights are noise, always the same for the same arguments.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from rbee.testing.hub.gguf_sample import gguf_bytes

_WIDTHS: Final = MappingProxyType({"F16": 2, "BF16": 2, "F32": 4, "I16": 2, "I32": 4, "U32": 4})
CHAT_TEMPLATE: Final = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
"""A chat template."""


def safetensors_bytes(tensors: Mapping[str, tuple[str, tuple[int, ...]]], *, seed: int = 0) -> bytes:
    """A safetensors file.

    Args:
        tensors: type (``F16``, ``U32``, ...) and shape by name.
        seed: of the noise.
    """
    head: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (kind, shape) in tensors.items():
        size = _WIDTHS[kind]
        for length in shape:
            size *= length
        head[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + random.Random(seed).randbytes(at)  # noqa: S311 - noise


def gguf_files(
    stem: str = "tiny", quantizations: tuple[str, ...] = ("Q4_K_M", "Q8_0", "F16"), **head: Any
) -> dict[str, bytes | str]:
    """A GGUF repository with one file a quantisation, and what usually lies beside them.

    Args:
        stem: begins the names, ``tiny-Q4_K_M.gguf``.
        quantizations: one file each.
        head: as for `gguf_bytes`.
    """
    files: dict[str, bytes | str] = {".gitattributes": "*.gguf filter=lfs\n", "README.md": f"# {stem}\n"}
    for number, quantization in enumerate(quantizations):
        files[f"{stem}-{quantization}.gguf"] = gguf_bytes(quantization=quantization, seed=number, **head)
    return files


def split_gguf_files(
    stem: str = "tiny-Q4_K_M", count: int = 3, *, folder: str = "", quantization: str = "Q4_K_M", **head: Any
) -> dict[str, bytes | str]:
    """A GGUF model in parts, ``tiny-Q4_K_M-00001-of-00003.gguf``.

    Args:
        stem: begins the names.
        count: of parts.
        folder: that they lie in; the repository's root when empty.
        quantization: of the tensors, as the head tells it.
        head: as for `gguf_bytes`.
    """
    place = f"{folder}/" if folder else ""
    return {
        f"{place}{stem}-{number + 1:05d}-of-{count:05d}.gguf": gguf_bytes(
            quantization=quantization, seed=number, split=(number, count), **head
        )
        for number in range(count)
    }


def config(**more: Any) -> dict[str, Any]:
    """A small ``config.json``; `more` is added or replaces."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 128,
        "max_position_embeddings": 2048,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "vocab_size": 256,
        "torch_dtype": "float16",
        **more,
    }


def safetensors_files(parts: int = 1, *, seed: int = 0, **more: Any) -> dict[str, bytes | str]:
    """A repository as the transformers library writes it.

    Args:
        parts: of the weights; from two on with an index.
        seed: of the noise.
        more: of `config`.
    """
    files: dict[str, bytes | str] = {
        ".gitattributes": "*.safetensors filter=lfs\n",
        "README.md": "---\nlicense: mit\n---\n",
        "config.json": json.dumps(config(**more)),
        "generation_config.json": json.dumps({"eos_token_id": 2}),
        "tokenizer.json": json.dumps({"version": "1.0", "model": {"type": "BPE", "vocab": {}, "merges": []}}),
        "tokenizer_config.json": json.dumps({"chat_template": CHAT_TEMPLATE}),
        "special_tokens_map.json": json.dumps({"eos_token": "</s>"}),
    }
    weights = {f"model.layers.{layer}.mlp.up_proj.weight": ("F16", (128, 64)) for layer in range(max(2, parts))}
    if parts == 1:
        files["model.safetensors"] = safetensors_bytes(weights, seed=seed)
        return files
    where: dict[str, str] = {}
    for number in range(parts):
        name = f"model-{number + 1:05d}-of-{parts:05d}.safetensors"
        mine = {tensor: told for at, (tensor, told) in enumerate(weights.items()) if at % parts == number}
        files[name] = safetensors_bytes(mine, seed=seed + number)
        where |= dict.fromkeys(mine, name)
    files["model.safetensors.index.json"] = json.dumps({"metadata": {"total_size": 0}, "weight_map": where})
    return files


def mlx_files(bits: int = 4, **more: Any) -> dict[str, bytes | str]:
    """A repository as the mlx-lm converter writes it; its tag at the hub is ``mlx``.

    Args:
        bits: of a weight.
        more: of `config`.
    """
    quantization = {"group_size": 64, "bits": bits}
    files = safetensors_files(quantization=quantization, quantization_config=quantization, **more)
    packed = {
        "model.layers.0.mlp.up_proj.weight": ("U32", (128, 8)),
        "model.layers.0.mlp.up_proj.scales": ("F16", (128, 1)),
        "model.layers.0.mlp.up_proj.biases": ("F16", (128, 1)),
    }
    return files | {"model.safetensors": safetensors_bytes(packed, seed=bits)}


def exl_files(bits: float = 4.0, *, version: int = 2, **more: Any) -> dict[str, bytes | str]:
    """One branch of an EXL2 or EXL3 repository, as their converters write it.

    Args:
        bits: of a weight, on the average.
        version: 2 or 3.
        more: of `config`.
    """
    quantization = {"quant_method": f"exl{version}", "version": f"0.{version}.2", "bits": bits, "head_bits": 6}
    files = safetensors_files(quantization_config=quantization, **more)
    packed = {"model.layers.0.mlp.up_proj.q_weight": ("I32", (8, 128))}
    del files["model.safetensors"]
    return files | {"output.safetensors": safetensors_bytes(packed, seed=int(bits * 10))}


def pickle_files() -> dict[str, bytes | str]:
    """A repository with nothing but weights that would run code when opened."""
    return {"config.json": json.dumps(config()), "pytorch_model.bin": b"\x80\x02}q\x00.", "README.md": "# old\n"}
