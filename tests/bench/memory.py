"""How far the estimate of a worker's memory is off, before and after workers of the model have been seen.

By hand, on Linux, with the folder that has the small real model (``rbee-tiny-f16.gguf`` and ``hf``)::

    uv run --group test --extra mlx python tests/bench/memory.py MODELS [WORD]

Models of random weights are made of the small one's tokens: in GGUF of several types and sizes, and as a folder of
safetensors.  Of each, workers are started one after the other with more and more context.  The estimate is what the
queen plans for each by the model's figures alone, and with what she has learned of the workers before; the peak is what
she has then seen of the worker, once it has answered a prompt of about 450 tokens.  With a word, only models with it in their
title, as MLX.  Nothing else is measured: the machine may be busy.
"""

from __future__ import annotations

import json
import math
import random
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rbee.testing.colony import Colony, eventually
from rbee.testing.ggufs import Gguf, uint32

MIB = 2**20
F32, F16, Q4_0, Q8_0 = 0, 1, 2, 8
BLOCKS = {F32: (1, 4), F16: (1, 2), Q4_0: (32, 18), Q8_0: (32, 34)}
"""Weights and bytes of a block, by type."""

SHAPES = {"small": (512, 8, 8, 4, 2048), "medium": (1024, 12, 16, 8, 4096), "large": (2048, 20, 32, 8, 6144)}
"""Width, layers, heads, heads with keys and values, inner width."""

CONTEXTS = ((2048, 1), (8192, 1), (8192, 4))
TINY_CONTEXTS = ((1024, 1), (2048, 1), (2048, 4))
OWN_CONTEXT = 32_768
PROMPT = "a b c " * 150


def main(models: Path, word: str) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="rbee-bench-") as name:
        folder = Path(name)
        colony = Colony(folder / "colony", {"hive.threads": "2", "hive.worker_threads": "1"}).start_up()
        try:
            print("| model | weights | tokens x slots | estimate | peak | error | after learning |")
            print("|---|---|---|---|---|---|---|")
            for title, path in chosen(models, folder, word):
                contexts = CONTEXTS if path.parent == folder else TINY_CONTEXTS
                for context, slots in (*contexts, contexts[0]):
                    print(measured(colony, title, path, context, slots), flush=True)
        finally:
            colony.stop()


def chosen(models: Path, folder: Path, word: str) -> Iterator[tuple[str, Path]]:
    """The models with the word in their titles, each made when its turn has come."""
    for title, make in titled(models, folder):
        if word in title:
            yield title, make()


def titled(models: Path, folder: Path) -> Iterator[tuple[str, Callable[[], Path]]]:
    """All models, with what makes them."""
    tiny = models / "rbee-tiny-f16.gguf"
    yield "rbee-tiny F16, llama.cpp", lambda: tiny
    for size, kind, name in (
        ("small", F16, "F16"),
        ("medium", F16, "F16"),
        ("medium", Q8_0, "Q8_0"),
        ("medium", Q4_0, "Q4_0"),
        ("large", Q4_0, "Q4_0"),
    ):
        yield (
            f"{size} {name}, llama.cpp",
            partial(gguf, tiny, folder / f"{size}-{name}.gguf", SHAPES[size], kind),
        )
    yield "rbee-tiny F16, MLX", lambda: models / "hf"
    # A larger one takes minutes for a prompt: in half precision a processor is slow with it.
    yield "small F16, MLX", partial(safetensors, models / "hf", folder / "small-mlx", SHAPES["small"])


def measured(colony: Colony, title: str, path: Path, context: int, slots: int) -> str:
    """A row of the table: a worker is planned, started, asked and stopped."""
    fields = {"model": str(path), "context_length": context, "slots": slots}
    if (done := colony.run_job("model_download", model=str(path)))["type"] != "done":
        raise SystemExit(f"no model: {done}")
    planned = plan(colony, fields)
    done = colony.run_job("worker_spawn", worker_id="w", **fields)
    if done["type"] != "done":
        raise SystemExit(f"no worker: {done}")
    worker = done["result"]
    body = {"model": worker["model_id"], "prompt": PROMPT, "max_tokens": 32, "temperature": 0}
    # By the queen, who so knows how much of the cache was in use.
    colony.http.post(f"{colony.openai_base_url}/completions", json=body).raise_for_status()
    resident = high_water_mark(worker["pid"])

    def seen() -> dict[str, Any] | None:
        row = plan(colony, fields)
        return row if (row["peak_bytes"] or 0) >= resident // MIB * MIB else None

    peak = eventually(seen, 20)["peak_bytes"]
    colony.run_job("worker_process_delete", worker_id="w", force=True)
    eventually(lambda: not colony.workers())
    known = planned["reserve_bytes"] is not None
    cells = (
        title,
        f"{planned['weights_bytes'] / MIB:.0f} MiB",
        f"{planned['context_length']} x {slots}",
        f"{planned['estimate_bytes'] / MIB:.0f} MiB",
        f"{peak / MIB:.0f} MiB",
        error(planned["estimate_bytes"], peak),
        error(planned["memory_bytes"], peak) if known else "",
    )
    return f"| {' | '.join(cells)} |"


def plan(colony: Colony, fields: dict[str, Any]) -> dict[str, Any]:
    """What the queen plans for the only hive."""
    done = colony.run_job("model_plan", **fields)
    if done["type"] != "done":
        raise SystemExit(f"no plan: {done}")
    row: dict[str, Any] = done["result"]["hives"][0]
    return row


def error(thought: int, peak: int) -> str:
    """How far off, in per cent of the truth."""
    return f"{100 * (thought - peak) / peak:+.0f} %"


def high_water_mark(pid: int) -> int:
    """The most that was ever resident of a process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def gguf(base: Path, path: Path, shape: Sequence[int], kind: int) -> Path:
    """A model of that shape with random weights of one type."""
    width, layers, heads, kv_heads, inner = shape
    made = Gguf(base)
    vocabulary = made.tensors["token_embd.weight"][0][1]
    figures = {
        "embedding_length": width, "block_count": layers, "attention.head_count": heads,
        "attention.head_count_kv": kv_heads, "feed_forward_length": inner, "context_length": OWN_CONTEXT,
        "rope.dimension_count": width // heads, "attention.key_length": width // heads,
        "attention.value_length": width // heads,
    }  # fmt: skip
    for name, value in figures.items():
        if f"llama.{name}" in made.keys or not name.endswith(("key_length", "value_length")):
            made.keys[f"llama.{name}"] = uint32(value)
    made.tensors = {}
    for name, dimensions in tensors(width, layers, heads, kv_heads, inner, vocabulary):
        own = F32 if len(dimensions) == 1 else kind
        made.tensors[name] = (dimensions, own, weights(own, math.prod(dimensions)))
    return made.write(path)


def tensors(
    width: int, layers: int, heads: int, kv_heads: int, inner: int, vocabulary: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of all tensors, the inner dimension first."""
    kept = width // heads * kv_heads
    yield "token_embd.weight", (width, vocabulary)
    yield "output_norm.weight", (width,)
    yield "output.weight", (width, vocabulary)
    for layer in range(layers):
        for name, dimensions in {
            "attn_norm": (width,), "attn_q": (width, width), "attn_k": (width, kept), "attn_v": (width, kept),
            "attn_output": (width, width), "ffn_norm": (width,), "ffn_gate": (width, inner), "ffn_up": (width, inner),
            "ffn_down": (inner, width),
        }.items():  # fmt: skip
            yield f"blk.{layer}.{name}.weight", dimensions


def weights(kind: int, count: int) -> bytes:
    """Random numbers around 0, the same ones over and over."""
    draw = random.Random(1)
    per_block, block_bytes = BLOCKS[kind]
    size = count // per_block * block_bytes
    if kind in {F16, F32}:
        unit = struct.pack(f"<4096{'e' if kind == F16 else 'f'}", *(draw.gauss(0, 0.02) for _ in range(4096)))
    else:
        unit = b"".join(struct.pack("<e", 0.002) + draw.randbytes(block_bytes - 2) for _ in range(1024))
    return (unit * (size // len(unit) + 1))[:size]


HF_NAMES = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip


def safetensors(base: Path, folder: Path, shape: Sequence[int]) -> Path:
    """The same as a folder of safetensors in half precision."""
    width, layers, heads, kv_heads, inner = shape
    folder.mkdir()
    for file in base.iterdir():
        if file.is_file() and file.suffix != ".safetensors" and not file.name.endswith(".index.json"):
            (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    config |= {
        "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads, "head_dim": width // heads,
        "num_key_value_heads": kv_heads, "intermediate_size": inner, "max_position_embeddings": OWN_CONTEXT,
        "tie_word_embeddings": False,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    head: dict[str, Any] = {}
    blobs, at = [], 0
    for name, dimensions in tensors(width, layers, heads, kv_heads, inner, config["vocab_size"]):
        data = weights(F16, math.prod(dimensions))
        head[hf_name(name)] = {
            "dtype": "F16", "shape": list(reversed(dimensions)), "data_offsets": [at, at + len(data)],
        }  # fmt: skip
        blobs.append(data)
        at += len(data)
    told = json.dumps(head).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(told)) + told)
        file.writelines(blobs)
    return folder


def hf_name(name: str) -> str:
    """A tensor's name in GGUF as the other format has it."""
    if not name.startswith("blk."):
        return {
            "token_embd.weight": "model.embed_tokens.weight",
            "output_norm.weight": "model.norm.weight",
            "output.weight": "lm_head.weight",
        }[name]
    _, layer, part, _ = name.split(".")
    return f"model.layers.{layer}.{HF_NAMES[part]}.weight"


if __name__ == "__main__":
    if len(sys.argv) not in {2, 3}:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]).resolve(), sys.argv[2] if len(sys.argv) > 2 else "")
