"""Tokens a second through a worker, over HTTP, beside the engine's library alone.

By hand, on a machine that does nothing else, with one model as a GGUF file and as a folder of safetensors::

    uv run --group test --extra mlx python tests/bench/engines.py MODEL.gguf FOLDER [ROUNDS]

For 1, 4 and 8 streams: greedy answers of the same length to the same prompts, the end of an answer ignored, one thread.
`bare` is the library in a process of its own, asked in the way in which it is quickest; `rbee` is a worker asked directly
over HTTP, by clients that read streams.  Both in turn, medians of the rounds, and their ratio.
"""

from __future__ import annotations

import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rbee.testing.colony import Colony

STREAMS = (1, 4, 8)
TOKENS = 192
PROMPT = "<|im_start|>user\nTell me about number {number}.<|im_end|>\n<|im_start|>assistant\n"

GGUF = f"""
import sys, threading, time
from xllamacpp import CommonParams, Server
path, streams = sys.argv[1], int(sys.argv[2])
p = CommonParams()
p.model.path = path
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
p.n_parallel, p.n_ctx, p.cache_ram_mib, p.port, p.ui, p.verbosity = 8, 8 * 512, 0, 0, False, -1
p.hostnames = ["127.0.0.1"]
server = Server(p)
prompt = {PROMPT!r}
def ask(number, limit):
    count = 0
    def take(chunk):
        nonlocal count
        count += sum(bool(choice.get("text")) for part in (chunk if isinstance(chunk, list) else [chunk])
                     for choice in part.get("choices", ()))
        return False
    server.handle_completions({{"prompt": prompt.format(number=number), "max_tokens": limit, "temperature": 0,
                               "stream": True, "ignore_eos": True, "cache_prompt": False}}, take)
ask(0, 8)
threads = [threading.Thread(target=ask, args=(number, {TOKENS})) for number in range(streams)]
began = time.monotonic()
for thread in threads: thread.start()
for thread in threads: thread.join()
print(streams * {TOKENS} / (time.monotonic() - began))
"""

FOLDER = f"""
import os, sys, time
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
import mlx.core as mx
mx.set_default_device(mx.cpu)
from pathlib import Path
from mlx_lm.generate import BatchGenerator
from mlx_lm.utils import load_model
from tokenizers import Tokenizer
path, streams = sys.argv[1], int(sys.argv[2])
model, _ = load_model(Path(path))
tokenizer = Tokenizer.from_file(path + "/tokenizer.json")
generator = BatchGenerator(model, completion_batch_size=8, prefill_step_size=512)
def run(count, limit):
    prompts = [tokenizer.encode({PROMPT!r}.format(number=number), add_special_tokens=False).ids for number in range(count)]
    generator.insert(prompts, max_tokens=[limit] * count)
    left = count
    while left:
        _, answers = generator.next()
        left -= sum(one.finish_reason is not None for one in answers)
run(1, 8)
began = time.monotonic()
run(streams, {TOKENS})
print(streams * {TOKENS} / (time.monotonic() - began))
"""


def bare(program: str, path: Path, streams: int) -> float:
    """Tokens a second of the library alone."""
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), str(streams)], capture_output=True, text=True, check=True
    )
    return float(done.stdout.splitlines()[-1])


def ask(url: str, token: str, number: int, limit: int, model: str = "any") -> int:
    """One stream; tokens that came."""
    address = urlsplit(url)
    body: dict[str, Any] = {
        "model": model,
        "prompt": PROMPT.format(number=number),
        "max_tokens": limit,
        "temperature": 0,
    }
    body |= {"stream": True, "ignore_eos": True, "stream_options": {"include_usage": True}}
    data = json.dumps(body).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {token}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    last = b""
    # Bytes alone: a client that takes answers apart would take the processor from who makes them.
    with socket.create_connection((address.hostname or "", address.port or 80), timeout=300) as line:
        line.sendall(head.encode() + data)
        while b"[DONE]" not in last and (chunk := line.recv(65536)):
            last = (last + chunk)[-4096:]
    told = re.findall(rb'"completion_tokens":(\d+)', last)
    return int(told[-1])


def through(url: str, token: str, streams: int) -> float:
    """Tokens a second through a worker."""
    ask(url, token, 0, 8)
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda number=number: counts.append(ask(url, token, number, TOKENS)))
        for number in range(streams)
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - began)


def main() -> None:
    """Print the table."""
    gguf, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    print(f"{'engine':10} {'streams':>7} {'bare tok/s':>11} {'rbee tok/s':>11} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as home:
        colony = Colony(Path(home), {"hive.threads": "none", "hive.worker_threads": "1"}).start_up()
        try:
            for name, path, program in (("GGUF", gguf, GGUF), ("safetensors", folder, FOLDER)):
                spawned = colony.cli("worker", "spawn", str(path), "--slots", "8", "--context-length", "512", "--json")
                worker = json.loads(spawned.stdout)
                for streams in STREAMS:
                    pairs = [
                        (bare(program, path, streams), through(worker["url"], colony.token, streams))
                        for _ in range(rounds)
                    ]
                    alone = statistics.median(one for one, _ in pairs)
                    ours = statistics.median(one for _, one in pairs)
                    print(f"{name:10} {streams:7} {alone:11.1f} {ours:11.1f} {ours / alone:6.2f}", flush=True)
                colony.cli("worker", "stop", worker["worker_id"])
        finally:
            colony.stop()
            colony.clean_up()


if __name__ == "__main__":
    main()
