"""How long a polite key waits beside an aggressive one, with and without a fair share: run by hand.

    uv run --group test python tests/bench/fairness.py

A colony with a real llama.cpp worker of two slots.  One caller keeps 24 requests open all the time; another asks once a
second.  With keys of their own they share the slots; without, all requests are of one key, and it is first come, first
served.  Prints the polite caller's seconds to a whole answer, and both callers' answers.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
from rbee.testing.colony import Colony

SECONDS = 25.0
OPEN = 24
TOKENS = 128


class Load:
    """Both callers for a while."""

    def __init__(self, url: str, aggressive: str, polite: str) -> None:
        self._url = url
        self._keys = (aggressive, polite)
        self._over = threading.Event()
        self.waits: list[float] = []
        self.answers = 0

    def run(self) -> None:
        with ThreadPoolExecutor(OPEN + 1) as pool:
            greedy = [pool.submit(self._greedy) for _ in range(OPEN)]
            time.sleep(2.0)
            polite = pool.submit(self._polite)
            time.sleep(SECONDS)
            self._over.set()
            for one in [*greedy, polite]:
                one.result()

    def _ask(self, key: str) -> None:
        answer = httpx2.post(
            f"{self._url}/v1/chat/completions",
            json={
                "model": "demo",
                "messages": [{"role": "user", "content": "What is a generator?"}],
                "max_tokens": TOKENS,
                "ignore_eos": True,
            },
            headers={"Authorization": f"Bearer {key}"},
            timeout=120,
        )
        answer.raise_for_status()

    def _greedy(self) -> None:
        while not self._over.is_set():
            self._ask(self._keys[0])
            self.answers += 1

    def _polite(self) -> None:
        while not self._over.is_set():
            started = time.perf_counter()
            self._ask(self._keys[1])
            took = time.perf_counter() - started
            self.waits.append(took)
            self._over.wait(max(0.0, 1.0 - took))


def p95(waits: list[float]) -> float:
    return statistics.quantiles(waits, n=20)[-1] if len(waits) > 1 else waits[0]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        colony = Colony(Path(folder), {"worker.slots": "2"}).start_up()
        try:
            assert colony.cli("run", "demo", "hello", "--max-tokens", "1").returncode == 0
            rows = {}
            for name, keys in (("one key for all", ("same", "same")), ("a key each", ("greedy", "polite"))):
                load = Load(colony.queen_url, *keys)
                load.run()
                rows[name] = load
                print(
                    f"{name:16}  polite p50 {statistics.median(load.waits):6.2f} s  p95 {p95(load.waits):6.2f} s  "
                    f"{len(load.waits)} answers, the other {load.answers}",
                    flush=True,
                )
            without, fair = (p95(load.waits) for load in rows.values())
            print(f"p95 with a fair share / without: {fair / without:.2f}")
        finally:
            colony.stop()
            colony.clean_up()


if __name__ == "__main__":
    main()
