"""Shares of the machine: all or nothing, and given back."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.contract.errors import InsufficientMemoryError, NoPlacementError
from rbee.contract.types import Device, DeviceType, LoadSpec, ModelVariant
from rbee.hive.budgets import Budgets
from rbee.hive.children import Child, tags
from rbee.hive.memory_budget import MemoryBudget
from rbee.hive.thread_budget import ThreadBudget

CPU = Device(id="CPU-0", name="c", device_type=DeviceType.CPU, memory_bytes=100)
VARIANT = ModelVariant(model_id="m", name="m", vendor="v", format="f")


def make(threads: int = 4, *, fixed: bool = True) -> Budgets:
    return Budgets(ThreadBudget(threads, fixed=fixed), MemoryBudget(lambda: [CPU], lambda: None))


def spec(need: int | None) -> LoadSpec:
    return LoadSpec(model_id="m", model_path=None, variant=VARIANT, memory_bytes=need)


def child(worker_id: str, threads: int, memory_bytes: int | None) -> Child:
    return Child(
        worker_id=worker_id,
        pid=1,
        created=0.0,
        port=1,
        threads=threads,
        model_id="m",
        device="CPU-0",
        memory_bytes=memory_bytes,
    )


def promised(budgets: Budgets) -> int:
    (device,) = budgets.memory()
    return device.granted_bytes


def test_a_worker_gets_threads_and_the_memory_it_needs() -> None:
    granted = make().grant("a", spec(60))
    assert (granted.threads, granted.memory_bytes) == (2, 60)
    assert make().grant("a", spec(None)).memory_bytes is None


def test_a_worker_that_computes_somewhere_else_takes_nothing_and_is_always_let_in() -> None:
    budgets = make(1)
    budgets.grant("a", spec(100))
    remote = msgspec.structs.replace(spec(None), threads=0)
    assert budgets.grant("b", remote).threads == 0
    budgets.note(child("b", 0, None))
    assert budgets.threads.granted == 1


def test_what_is_short_of_one_takes_nothing_of_the_other() -> None:
    budgets = make(1)
    with pytest.raises(InsufficientMemoryError):
        budgets.grant("a", spec(101))
    assert (budgets.threads.free, promised(budgets)) == (1, 0)
    budgets.grant("a", spec(10))
    with pytest.raises(NoPlacementError):
        budgets.grant("b", spec(10))
    assert (budgets.threads.free, promised(budgets)) == (0, 10)


def test_that_workers_share_cores_is_told_only_when_they_do() -> None:
    budgets = make(2, fixed=False)
    for worker in "ab":
        budgets.grant(worker, spec(1))
    assert budgets.shared() is None
    budgets.grant("c", spec(1))
    assert budgets.shared() == "the workers here have 3 threads on 2 cores, so they share them"


@given(
    st.lists(
        st.tuples(st.sampled_from(["grant", "restart", "release"]), st.sampled_from("abcde"), st.integers(1, 60)),
        max_size=30,
    )
)
def test_over_any_number_of_lives_the_sums_stay_within_the_machine(steps: list[tuple[str, str, int]]) -> None:
    budgets, alive = make(), {}
    for verb, worker, need in steps:
        if verb == "restart":
            budgets = make()
            for one in alive.values():
                budgets.note(one)
        elif verb == "release":
            budgets.give_back(worker)
            alive.pop(worker, None)
        elif worker not in alive:
            try:
                granted = budgets.grant(worker, spec(need))
            except (InsufficientMemoryError, NoPlacementError):
                continue
            alive[worker] = child(worker, granted.threads, granted.memory_bytes)
        assert budgets.threads.granted == sum(one.threads for one in alive.values()) <= 4
        assert promised(budgets) == sum(one.memory_bytes or 0 for one in alive.values()) <= 100


def test_the_tags_of_a_worker_without_a_promise_hide_those_that_the_hive_itself_has() -> None:
    outer = tags(Path("/x"), "w", 1, 2, "m", "GPU-3", 5)
    inner = {**outer, **tags(Path("/x"), "v", 1, 2, "m")}
    assert (inner["RBEE_WORKER_DEVICE"], inner["RBEE_WORKER_MEMORY"]) == ("", "")
