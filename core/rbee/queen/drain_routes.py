"""The queen's routes to take workers and hives out of work, and back."""

from __future__ import annotations

from litestar import delete, post

from rbee.contract.wire import HiveDrain, WorkerDrain
from rbee.queen.service import QueenService


@post("/v1/workers/{worker_id:str}/drain", status_code=200)
async def drain_worker(service: QueenService, worker_id: str) -> WorkerDrain:
    """Have a worker take no more requests; again, how many are still open."""
    return await service.drains.worker(worker_id, on=True)


@delete("/v1/workers/{worker_id:str}/drain", status_code=200)
async def resume_worker(service: QueenService, worker_id: str) -> WorkerDrain:
    """Have it take requests again."""
    return await service.drains.worker(worker_id, on=False)


@post("/v1/hives/{hive_id:str}/drain", status_code=200)
async def drain_hive(service: QueenService, hive_id: str) -> HiveDrain:
    """Have a hive start no workers, and its workers take no more requests."""
    return await service.drains.hive(hive_id, on=True)


@delete("/v1/hives/{hive_id:str}/drain", status_code=200)
async def resume_hive(service: QueenService, hive_id: str) -> HiveDrain:
    """Have it work again."""
    return await service.drains.hive(hive_id, on=False)


DRAIN_ROUTES = (drain_worker, resume_worker, drain_hive, resume_hive)
