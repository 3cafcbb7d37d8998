"""Workers of a hive: started, looked at, stopped."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from rbee.contract.errors import InvalidRequestError, NotFoundError
from rbee.scheduler.memory import ROUGH


async def test_a_spawned_worker_is_described_by_what_the_system_knows(hive: Any) -> None:
    code = "import time; time.sleep(60)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, "--engine=mill", "--slots=3")
    try:
        hive.children.put("w1", "shelf:m", process.pid)
        (one,) = (await hive.do("worker_process_list")).workers
        assert (one.engine, one.slots, one.device, one.backend) == ("mill", 3, "CPU-0", "cpu")
        assert (one.worker_id, one.pid, one.threads, one.state) == ("w1", process.pid, 2, "ready")
        assert one.url == "http://127.0.0.1:8080"
        assert one.log.endswith("w1.log")
        assert await hive.do("worker_process_get", id="w1") == one
    finally:
        process.kill()
        await process.wait()


async def test_what_cannot_be_read_is_unknown(hive: Any) -> None:
    hive.children.put("w1", "shelf:m")
    one = await hive.do("worker_process_get", worker_id="w1")
    assert (one.engine, one.device, one.slots) == (None, None, None)


async def test_a_worker_is_stopped_drained_or_at_once(hive: Any) -> None:
    hive.children.put("w1", "shelf:m")
    hive.children.put("w2", "shelf:m")
    await hive.do("worker_process_delete", worker_id="w1")
    await hive.do("worker_process_delete", worker_id="w2", force=True)
    assert hive.children.stopped == [("w1", False), ("w2", True)]
    with pytest.raises(NotFoundError):
        await hive.do("worker_process_delete", worker_id="w1")


@pytest.mark.parametrize("operation", ["worker_process_get", "worker_process_delete"])
async def test_a_worker_must_be_named(hive: Any, operation: str) -> None:
    with pytest.raises(InvalidRequestError, match="'worker_id' is missing"):
        await hive.do(operation)


async def test_a_job_of_another_hive_is_refused(hive: Any) -> None:
    assert (await hive.do("worker_process_list", hive_id="h")).workers == ()
    assert (await hive.do("worker_process_list", hive_id="localhost")).workers == ()
    with pytest.raises(NotFoundError, match="hive 'h', not 'other'"):
        await hive.do("worker_process_list", hive_id="other")


async def test_a_start_asks_for_what_the_model_is_thought_to_need(hive: Any, shelf: Any) -> None:
    shelf.put("m", {"m.blob": bytes(100)})
    done = await hive.do("worker_spawn", model="m")
    (spec,) = hive.children.specs
    assert spec.memory_bytes == done.memory_bytes == int(100 * ROUGH)
    assert hive.hive.measure.await_count == 2, "before, so that what is free is known, and after"


async def test_that_a_new_worker_shares_its_core_is_said(hive: Any, shelf: Any) -> None:
    shelf.put("m", {"m.blob": b"abc"})
    hive.hive.budgets.shared.return_value = "three on two"
    await hive.do("worker_spawn", model="m")
    assert hive.said[-1].endswith("is loaded (2 threads); three on two")
