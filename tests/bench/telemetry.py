"""What the queen's picture of a large colony costs: beats taken in, and questions answered, against a full search.

By hand, on a machine that does nothing else::

    uv run --group test python tests/bench/telemetry.py

Everything runs in one process on one core.  A beat counts from the bytes of its body, as the HTTP route gets them, to
the updated registry.  A full search asks every record for the same answer in the same run, and must find the same.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import msgspec
from rbee.contract.wire import (
    GpuStats,
    HiveHeartbeat,
    HiveInfo,
    NodeStats,
    ProcessStats,
    WorkerBeat,
    WorkerHeartbeat,
    utc_now,
)
from rbee.telemetry import Presence, TelemetryRegistry, WorkerEntry

PER_HIVE = 10
PER_MODEL = 10
ROUNDS = 2000
SEARCHES = 30


class Clock:
    """Time of the colony; a second passes when the benchmark says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Colony:
    """A registry with its hives and workers, and their next beats as bytes.

    Args:
        workers: how many; ten a hive, ten a model.
    """

    def __init__(self, workers: int) -> None:
        self.clock = Clock()
        self.registry = TelemetryRegistry(self.clock)
        self.random = random.Random(workers)
        self.workers = workers
        self.hives = workers // PER_HIVE
        self.seq = 0
        self.worker_decoder = msgspec.json.Decoder(WorkerHeartbeat)
        self.hive_decoder = msgspec.json.Decoder(HiveHeartbeat)

    def next_beats(self) -> tuple[list[bytes], list[bytes]]:
        """Bodies of one beat of every worker and of every hive, in any order."""
        self.seq += 1
        workers = [self._worker(number) for number in range(self.workers)]
        hives = [self._hive(number) for number in range(self.hives)]
        self.random.shuffle(workers)
        self.random.shuffle(hives)
        return workers, hives

    def decode_workers(self, bodies: list[bytes]) -> None:
        """The floor of `take_workers`."""
        decode = self.worker_decoder.decode
        for body in bodies:
            decode(body)

    def decode_hives(self, bodies: list[bytes]) -> None:
        """The floor of `take_hives`."""
        decode = self.hive_decoder.decode
        for body in bodies:
            decode(body)

    def take_workers(self, bodies: list[bytes]) -> None:
        """Beats of workers."""
        decode, beat = self.worker_decoder.decode, self.registry.beat_worker
        for body in bodies:
            beat(decode(body).worker)

    def take_hives(self, bodies: list[bytes]) -> None:
        """Beats of hives."""
        decode, beat = self.hive_decoder.decode, self.registry.update_hive_state
        for body in bodies:
            beat(decode(body))

    def fill(self) -> None:
        """Everybody has beaten twice."""
        for _ in range(2):
            workers, hives = self.next_beats()
            self.take_workers(workers)
            self.take_hives(hives)
            self.clock.now += 1

    def search(self, model: str) -> WorkerEntry | None:
        """The best worker for a model, by looking at every record."""
        able = []
        idle = []
        for entry in self.registry.list_all_workers():
            if not self.registry.is_routable(entry):
                continue
            if entry.model_id == model:
                able.append(entry)
            elif entry.idle:
                idle.append(entry)
        ranked = able or idle
        return min(ranked, key=self._rank) if ranked else None

    def _rank(self, entry: WorkerEntry) -> tuple[Any, ...]:
        far = float("inf")
        measured = entry.sample is not None and self.registry.presence(entry) is Presence.ONLINE
        gpu = entry.sample.gpu_util_pct if measured and entry.sample is not None else None
        free = entry.slots_free
        return (
            free == 0,
            far if gpu is None else gpu,
            far if free is None else -free,
            far if entry.latency_s is None else entry.latency_s,
            entry.worker_id,
        )

    def _worker(self, number: int) -> bytes:
        free = self.random.randint(0, 4)
        beat = WorkerBeat(
            id=f"worker-{number:06d}",
            model_id=f"shelf:org/model-{number % (self.workers // PER_MODEL)}:Q4_K_M",
            model_name=f"model-{number % (self.workers // PER_MODEL)}",
            device="GPU-0",
            backend="cuda",
            port=8080,
            status="ready" if free else "busy",
            implementation="engine",
            version="1.0",
            url=f"http://10.0.{number // PER_HIVE % 256}.{number // PER_HIVE // 256}:{8080 + number % PER_HIVE}",
            hive_id=f"hive-{number // PER_HIVE}",
            instance_id=f"instance-{number}",
            seq=self.seq,
            slots_total=4,
            slots_available=free,
            queue_depth=0,
            tokens_per_second=12.5,
            context_length=8192,
            capabilities=("chat", "completions"),
            pid=number + 1,
        )
        return msgspec.json.encode(WorkerHeartbeat(worker=beat, timestamp=utc_now()))

    def _hive(self, number: int) -> bytes:
        gpu = float(self.random.randint(0, 100))
        samples = tuple(
            ProcessStats(
                pid=worker + 1,
                instance=str(8080 + worker % PER_HIVE),
                cpu_pct=self.random.randint(0, 1000) / 10,
                rss_mb=900,
                io_r_mb_s=0.0,
                io_w_mb_s=0.0,
                uptime_s=self.seq,
                gpu_util_pct=gpu,
                vram_mb=self.random.randint(2000, 2010),
                total_vram_mb=24576,
                model="m",
                worker_id=f"worker-{worker:06d}",
                gpu="GPU-0",
                state="ready",
            )
            for worker in range(number * PER_HIVE, (number + 1) * PER_HIVE)
        )
        node = NodeStats(
            cpu_pct=20.0,
            ram_used_mb=16_000,
            ram_total_mb=64_000,
            gpus=(GpuStats(id="GPU-0", util_pct=gpu, vram_used_mb=20_000, vram_total_mb=24_576),),
        )
        info = HiveInfo(id=f"hive-{number}", hostname="box", port=7835, instance_id=f"h-{number}", seq=self.seq)
        return msgspec.json.encode(HiveHeartbeat(hive=info, timestamp=utc_now(), workers=samples, node=node))


def main() -> None:
    """Print the tables."""
    colonies = {workers: Colony(workers) for workers in (100, 1_000, 10_000)}
    for colony in colonies.values():
        colony.fill()
    largest = colonies[10_000]
    print(f"{largest.hives} hives, {largest.workers} workers, one core\n")
    beats(largest)
    best(largest)
    growth(colonies)


def beats(colony: Colony) -> None:
    """Beats taken in per second: the best of seven rounds of the whole colony, the least disturbed by others."""
    rates: dict[str, list[float]] = {}
    for _ in range(7):
        workers, hives = colony.next_beats()
        for what, bodies, take in (
            ("worker bodies decoded", workers, colony.decode_workers),
            ("worker beats", workers, colony.take_workers),
            ("hive bodies decoded", hives, colony.decode_hives),
            ("hive beats", hives, colony.take_hives),
        ):
            rates.setdefault(what, []).append(rate(take, bodies))
        colony.clock.now += 1
    for what, floor in (("worker beats", "worker bodies decoded"), ("hive beats", "hive bodies decoded")):
        taken, decoded = max(rates[what]), max(rates[floor])
        print(f"{what + ' taken in, from bytes':<56}{taken:>12,.0f} /s")
        print(f"{'  of these, decoding alone':<56}{decoded:>12,.0f} /s")
    print(
        f"{f'hive beats, in samples of workers ({PER_HIVE} each)':<56}{max(rates['hive beats']) * PER_HIVE:>12,.0f} /s\n"
    )


def best(colony: Colony) -> None:
    """Latency of `find_best_worker_for_model`, with beats in between, against the search."""
    print(
        f"{'find_best_worker_for_model':<36}{'p50':>12}{'p99':>12}{'search p50':>14}{'search p99':>14}{'ratio p50':>11}"
    )
    models = colony.registry.models()
    for name, ask in (
        ("a worker has the model", lambda: colony.random.choice(models)),
        ("nobody has it: an idle worker", lambda: "shelf:org/none"),
    ):
        found = latencies(colony, ask, colony.registry.find_best_worker_for_model, ROUNDS)
        searched = latencies(colony, ask, colony.search, SEARCHES)
        model = ask()
        ours, theirs = colony.registry.find_best_worker_for_model(model), colony.search(model)
        if ours is not theirs:
            raise SystemExit(f"{name}: the registry found {ours!r}, the search {theirs!r}")
        ratio = found[0] / searched[0]
        print(
            f"{name:<36}{us(found[0])}{us(found[1])}{us(searched[0], 14)}{us(searched[1], 14)}{f'1/{1 / ratio:,.0f}':>11}"
        )
    print()


def latencies(
    colony: Colony, ask: Callable[[], str], find: Callable[[str], WorkerEntry | None], rounds: int
) -> tuple[float, float]:
    """Median and 99th percentile of a question, each asked after a hundred more beats have come."""
    taken = []
    workers, hives = colony.next_beats()
    colony.clock.now += 0.1
    for turn in range(rounds):
        colony.take_workers(workers[turn * 100 % len(workers) :][:100])
        colony.take_hives(hives[turn * 10 % len(hives) :][:10])
        if (turn + 1) % 100 == 0:
            workers, hives = colony.next_beats()
            colony.clock.now += 0.1
        model = ask()
        began = time.perf_counter()
        find(model)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken), statistics.quantiles(taken, n=100)[98]


def growth(colonies: dict[int, Colony]) -> None:
    """Cost of each question at each size; the answers are equally long at every size."""
    print(f"{'cost of a question, median':<36}" + "".join(f"{f'{size:,} workers':>16}" for size in colonies))
    questions: dict[str, Callable[[Colony], Callable[[], object]]] = {
        "find_best_worker_for_model": lambda c: lambda: c.registry.find_best_worker_for_model(model_of(c)),
        "the same, nobody has the model": lambda c: lambda: c.registry.find_best_worker_for_model("none"),
        "find_workers_by_model": lambda c: lambda: c.registry.find_workers_by_model(model_of(c)),
        "find_workers_with_model": lambda c: lambda: c.registry.find_workers_with_model(model_of(c)),
        "find_workers_with_capacity, none": lambda c: lambda: c.registry.find_workers_with_capacity(30_000),
        "find_workers_by_backend, none": lambda c: lambda: c.registry.find_workers_by_backend("metal"),
        "get_workers_on_hive": lambda c: lambda: c.registry.get_workers_on_hive("hive-7"),
        "get_workers": lambda c: lambda: c.registry.get_workers("hive-7"),
        "get_worker_count": lambda c: lambda: c.registry.get_worker_count("hive-7"),
        "get_available_resources": lambda c: lambda: c.registry.get_available_resources("hive-7"),
        "get_worker": lambda c: lambda: c.registry.get_worker("worker-000077"),
        "total_worker_count, hive_count": lambda c: lambda: (c.registry.total_worker_count(), c.registry.hive_count()),
        "is_hive_online": lambda c: lambda: c.registry.is_hive_online("hive-7"),
        "cleanup, nobody is gone": lambda c: c.registry.cleanup,
        "the search for the best": lambda c: lambda: c.search(model_of(c)),
    }
    for name, question in questions.items():
        costs = []
        for colony in colonies.values():
            colony.fill()
            costs.append(cost(question(colony), SEARCHES if "search" in name else ROUNDS))
        print(f"{name:<36}" + "".join(us(one, 16) for one in costs))


def model_of(colony: Colony) -> str:
    """A model of that colony."""
    return "shelf:org/model-3:Q4_K_M"


def cost(question: Callable[[], object], rounds: int) -> float:
    """Median seconds of a question."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        question()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def rate(take: Callable[[list[bytes]], None], bodies: list[bytes]) -> float:
    """Bodies a second."""
    began = time.perf_counter()
    take(bodies)
    return len(bodies) / (time.perf_counter() - began)


def us(seconds: float, width: int = 12) -> str:
    """Microseconds, or milliseconds where that reads better."""
    return f"{f'{seconds * 1e6:,.1f} us' if seconds < 1e-3 else f'{seconds * 1e3:,.2f} ms':>{width}}"


if __name__ == "__main__":
    main()
