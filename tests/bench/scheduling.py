"""How quick decisions are, and what they are worth: run by hand.

    uv run --group test python tests/bench/scheduling.py

Three tables: decisions a second among 10, 1,000 and 10,000 workers of one model, and over as many hives as run them
when a worker has to be started; a day of load on 1,000 hives with 10,000 workers; and `balanced` against others on a
mixed fleet at several loads, all by the simulator.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from rbee.builtin.policies import BalancedPolicy, LeastLoadedPolicy, RoundRobinPolicy
from rbee.contract import (
    Backend,
    Device,
    DeviceType,
    EngineInfo,
    ModelFile,
    ModelVariant,
    Policy,
    RequestView,
    WorkerState,
    WorkerView,
)
from rbee.scheduler import Candidate, HiveView, IdleWorker, PlaceRequest, Start, Use, place
from rbee.settings import Settings
from rbee.simulation import (
    Arrivals,
    Compute,
    Fleet,
    Gpu,
    HiveGroup,
    Length,
    Load,
    ModelLoad,
    RandomPolicy,
    read_fleet,
    read_load,
    simulate,
)

GIB = 1024**3
EXAMPLES = Path(__file__).parents[2] / "docs/examples"
SIZES = (10, 1_000, 10_000)
A_HIVE = 10
"""Workers of a hive."""
RATES = (10.0, 30.0, 45.0, 60.0)
SECONDS = 900.0
WARM_UP = 200.0

VARIANT = ModelVariant(
    model_id="m", name="m", vendor="v", format="gguf", files=(ModelFile(name="f", size_bytes=4 * GIB),)
)
WANTED = PlaceRequest(variants=(VARIANT,), slots=4, view=RequestView(prompt_tokens=300, max_tokens=200))
GPUS = tuple(
    Device(id=f"GPU-{one}", name="g", device_type=DeviceType.GPU, backend=Backend.CUDA, memory_bytes=24 * GIB)
    for one in range(2)
)
ENGINE = EngineInfo(name="e", version="1", formats=("gguf",), backends=(Backend.CUDA,), capabilities=(), available=True)


def candidates(count: int, dice: random.Random) -> list[Candidate]:
    return [
        Candidate(
            view=WorkerView(
                worker_id=f"worker-{one}",
                hive_id=f"hive-{one // A_HIVE}",
                gpu_pct=dice.uniform(0, 100),
                vram_free_mb=dice.randrange(24_000),
                slots_total=4,
                slots_free=dice.randrange(5),
                queue_depth=0,
                latency_s=dice.uniform(0.1, 2),
                prefill_tok_s=dice.uniform(100, 9000),
                decode_tok_s=dice.uniform(5, 150),
                sent=dice.randrange(1_000_000),
            ),
            state=WorkerState.READY,
            presence="online",
            routable=True,
        )
        for one in range(count)
    ]


def hives(count: int, dice: random.Random) -> list[HiveView]:
    return [
        HiveView(
            hive_id=f"hive-{one}",
            online=True,
            devices=GPUS,
            engines=(ENGINE,),
            threads_free=dice.randrange(8),
            ram_free_bytes=dice.randrange(64) * GIB,
            gpu_free_bytes={gpu.id: dice.randrange(24) * GIB for gpu in GPUS},
            idle=tuple(
                IdleWorker(worker_id=f"i-{one}-{of}", idle_s=dice.uniform(0, 900), device="GPU-0", vram_bytes=3 * GIB)
                for of in range(A_HIVE // 2)
            ),
            held=frozenset({"m"}) if dice.random() < 0.3 else frozenset(),
        )
        for one in range(count)
    ]


def a_second(decide: Callable[[], object], at_least_s: float = 0.5) -> float:
    """Calls a second of processor time, of the quickest of three rounds: other programs run beside."""
    best = 0.0
    for _ in range(3):
        calls, began = 0, time.process_time()
        while (took := time.process_time() - began) < at_least_s:
            decide()
            calls += 1
        best = max(best, calls / took)
    return best


def decisions() -> None:
    print("| workers | use, balanced | use, round-robin | hives | start |")
    print("|---|---|---|---|---|")
    for size in SIZES:
        dice = random.Random(size)
        count = max(1, size // A_HIVE)
        workers, machines = candidates(size, dice), hives(count, dice)
        balanced, in_turn = (used(workers, policy) for policy in (BalancedPolicy(), RoundRobinPolicy()))
        print(f"| {size:,} | {balanced:,.0f} | {in_turn:,.0f} | {count:,} | {started(machines):,.0f} |", flush=True)


def used(workers: list[Candidate], policy: Policy) -> float:
    assert isinstance(place(WANTED, workers, list, policy), Use)
    return a_second(lambda: place(WANTED, workers, list, policy))


def started(machines: list[HiveView]) -> float:
    assert isinstance(place(WANTED, (), lambda: machines, BalancedPolicy()), Start)
    return a_second(lambda: place(WANTED, (), lambda: machines, BalancedPolicy()))


def a_day() -> None:
    """1,000 hives of two GPUs, with ten workers each: 100 models of 100 workers."""
    compute = {"prefill_tok_s": 5000.0, "decode_tok_s": {1: 110.0, 4: 75.0}}
    fleet = Fleet(
        hives=(
            HiveGroup(
                name="box", count=900, ram_gib=64, threads=32, worker_threads=2,
                gpus=(Gpu(memory_gib=24, count=2, **compute),), workers={"m": 10},
            ),
            HiveGroup(
                name="small", count=100, ram_gib=64, threads=32, worker_threads=2,
                processor=Compute(prefill_tok_s=80, decode_tok_s={1: 12, 4: 6}), workers={"m": 10},
            ),
        )
    )  # fmt: skip
    load = Load(
        duration_s=86_400,
        arrivals=Arrivals(rate=2.0, daily=(1, 1, 1, 1, 2, 4, 8, 10, 9, 8, 9, 10, 9, 8, 6, 5, 4, 3, 2, 2, 2, 1, 1, 1)),
        models=(ModelLoad(name="m", weights_gib=2, copies=100),),
        zipf=1.0,
        prompt=Length(median=300, p95=2000),
        answer=Length(median=150, p95=600),
    )
    print("| policy | hives | workers | requests | p95 to the first token [s] | processor seconds for a day |")
    print("|---|---|---|---|---|---|")
    for policy in (RoundRobinPolicy(), BalancedPolicy()):
        began = time.process_time()
        one = simulate(fleet, load, policy, Settings())
        took = time.process_time() - began
        print(
            f"| {policy.name} | {one.hives:,} | {one.workers:,} | {one.outcome.requests:,} | {one.outcome.ttft_s.p95:.2f} "
            f"| {took:.0f} |",
            flush=True,
        )


def compared() -> None:
    """The mixed fleet of the examples, and one of equal boxes, where there is less to win."""
    mixed, load = read_fleet(EXAMPLES / "fleet.yaml"), read_load(EXAMPLES / "load.yaml")
    boxes = Fleet(hives=(msgspec.structs.replace(mixed.hives[1], count=12),))
    print("| fleet | requests/s | policy | p50 [s] | p95 [s] | of round-robin's | whole, p95 [s] | goodput | refused |")
    print("|---|---|---|---|---|---|---|---|---|")
    for rate in RATES:
        policies_at("mixed", mixed, load, rate)
    policies_at("equal", boxes, msgspec.structs.replace(load, models=load.models[:2]), 12.0)


def policies_at(name: str, fleet: Fleet, load: Load, rate: float) -> None:
    asked = msgspec.structs.replace(load, arrivals=Arrivals(rate=rate), duration_s=SECONDS, warmup_s=WARM_UP)
    policies: tuple[Policy, ...] = (RoundRobinPolicy(), LeastLoadedPolicy(), RandomPolicy(1), BalancedPolicy())
    base = 0.0
    for policy in policies:
        one = simulate(fleet, asked, policy, Settings(), seed=1).outcome
        base = base or one.ttft_s.p95 or 0.0
        print(
            f"| {name} | {rate:g} | {policy.name} | {one.ttft_s.p50:.2f} | {one.ttft_s.p95:.2f} "
            f"| {(one.ttft_s.p95 or 0) / base:.2f} | {one.answer_s.p95:.1f} | {one.goodput:.2f} "
            f"| {sum(one.refused.values())} |",
            flush=True,
        )


def main() -> None:
    for table in (decisions, a_day, compared):
        print(f"\n{table.__name__}\n")
        table()


if __name__ == "__main__":
    main()
