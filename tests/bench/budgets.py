"""What workers side by side get done: with their hive's shares, and without.

By hand, on a machine that does nothing else, with a model in GGUF and the plugin that serves it::

    uv run --group test python tests/bench/budgets.py MODEL.gguf [SECONDS [ROUNDS]]

For 1, 2 and 4 workers of one model on the processor, tokens a second of all together, greedy, one request at a time
each, medians of the rounds:

* rbee: workers of a hive with no limit set, asked directly over HTTP;
* bare, share: the engine's library in as many processes, with the threads that the hive gave, waiting asleep;
* bare, asleep: with all cores' threads each, waiting asleep;
* bare, active: with all cores' threads each, waiting awake, which is what several programs of one's own come to.

All in the same run, in turn.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
from rbee.builtin.host_probe import usable_cores
from rbee.testing.colony import Colony

WORKERS = (1, 2, 4)
PROMPT = "Python is"
TOKENS = 256
ROWS = ("rbee", "bare, share", "bare, asleep", "bare, active")

BARE = f"""
import sys, time
import xllamacpp as library
path, threads, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
p = library.CommonParams()
p.model.path = path
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = threads
p.n_parallel, p.n_ctx, p.cache_ram_mib, p.port, p.ui, p.verbosity = 1, 1024, 0, 0, False, -1
p.hostnames = ["127.0.0.1"]
server = library.Server(p)
print("ready", flush=True)
sys.stdin.readline()
count, began = 0, time.monotonic()
body = {{"prompt": {PROMPT!r}, "max_tokens": {TOKENS}, "temperature": 0, "stream": True, "ignore_eos": True}}
def take(chunk):
    global count
    count += sum(bool(choice.get("text")) for part in (chunk if isinstance(chunk, list) else [chunk])
                 for choice in part.get("choices", ()))
    return time.monotonic() - began > seconds
while time.monotonic() - began <= seconds:
    server.handle_completions(body, take)
print(count / (time.monotonic() - began), flush=True)
"""


def main(model: str, seconds: float, rounds: int) -> None:
    """Print the table."""
    cores = usable_cores()
    with tempfile.TemporaryDirectory(prefix="rbee-bench-") as folder:
        threads: dict[int, list[int]] = {}
        figures: dict[tuple[int, str], list[float]] = {}
        for _ in range(rounds):
            for count in WORKERS:
                with hive(Path(folder) / f"{count}-{time.monotonic_ns()}", model, count) as workers:
                    threads[count] = [worker["threads"] for worker in workers]
                    shared = together([worker["url"] for worker in workers], seconds)
                shares = {
                    "bare, share": ("passive", threads[count]),
                    "bare, asleep": ("passive", [cores] * count),
                    "bare, active": ("active", [cores] * count),
                }
                figures.setdefault((count, "rbee"), []).append(shared)
                for row, (policy, own) in shares.items():
                    figures.setdefault((count, row), []).append(bare(model, own, policy, seconds))
        print(f"{cores} cores; tokens/s of all workers together; in brackets: rbee's over it")
        print(f"{'workers':<10}{'threads':<12}" + "".join(f"{row:>22}" for row in ROWS))
        for count in WORKERS:
            medians = {row: statistics.median(figures[count, row]) for row in ROWS}
            told = "+".join(map(str, threads[count]))
            cells = "".join(f"{medians[row]:>13.0f} ({medians['rbee'] / medians[row]:>5.2f})" for row in ROWS)
            print(f"{count:<10}{told:<12}{cells}")


@contextlib.contextmanager
def hive(folder: Path, model: str, count: int) -> Iterator[list[dict[str, Any]]]:
    """A colony with so many workers of a model; gives what it says of each."""
    colony = Colony(folder, {"hive.threads": "none", "worker.context_length": "1024"}).start_up()
    try:
        found = []
        for number in range(count):
            done = colony.run_job("worker_spawn", model=model, worker_id=f"w{number}", slots=1)
            if done["type"] != "done":
                raise SystemExit(f"no worker: {done}")
            found.append(done["result"])
        yield found
    finally:
        colony.stop()


def together(urls: Sequence[str], seconds: float) -> float:
    """Tokens a second of workers that are asked at the same time, without a pause."""
    rates = [0.0] * len(urls)
    start = threading.Barrier(len(urls))

    def ask(number: int, url: str) -> None:
        body = {"prompt": PROMPT, "max_tokens": TOKENS, "temperature": 0, "ignore_eos": True}
        with httpx2.Client(timeout=600, trust_env=False) as client:
            model = client.get(f"{url}/v1/models").raise_for_status().json()["data"][0]["id"]
            start.wait()
            began, tokens = time.monotonic(), 0
            while time.monotonic() - began <= seconds:
                answer = client.post(f"{url}/v1/completions", json={**body, "model": model})
                tokens += answer.raise_for_status().json()["usage"]["completion_tokens"]
            rates[number] = tokens / (time.monotonic() - began)

    asking = [threading.Thread(target=ask, args=pair) for pair in enumerate(urls)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    if not all(rates):
        raise SystemExit("a worker has not answered")
    return sum(rates)


def bare(model: str, threads: Sequence[int], policy: str, seconds: float) -> float:
    """Tokens a second of the library in processes of its own, at the same time."""
    environment = {**os.environ, "OMP_WAIT_POLICY": policy}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", BARE, model, str(own), str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "OMP_NUM_THREADS": str(own)},
        )
        for own in threads
    ]
    try:
        for one in processes:
            line(one, "ready")
        for one in processes:
            if one.stdin is not None:
                one.stdin.write("go\n")
                one.stdin.flush()
        return sum(float(line(one)) for one in processes)
    finally:
        for one in processes:
            one.kill()
            one.communicate()


def line(process: subprocess.Popen[str], wanted: str | None = None) -> str:
    """The next line of a process."""
    found = (process.stdout.readline() if process.stdout is not None else "").strip()
    if not found or wanted not in {None, found}:
        raise SystemExit(f"a bare process said {found!r}")
    return found


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(
        str(Path(sys.argv[1]).resolve()),
        float(sys.argv[2]) if len(sys.argv) > 2 else 5.0,
        int(sys.argv[3]) if len(sys.argv) > 3 else 3,
    )
