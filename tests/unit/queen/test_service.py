"""What the queen tells of her colony."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rbee.contract.wire import HiveHeartbeat, HiveInfo, WorkerBeat, WorkerHeartbeat, utc_now
from rbee.queen import QueenService
from rbee.settings.model import Settings
from unit.programs import Programs

# Said of every handler of ours; the pinned Litestar still does what it says will change.
pytestmark = pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")


@pytest.fixture
async def queen(tmp_path: Path) -> AsyncIterator[QueenService]:
    programs = Programs(tmp_path, Settings())
    yield (await programs.queen()).service
    await programs.close()


def beat(worker_id: str, status: str) -> WorkerHeartbeat:
    worker = WorkerBeat(
        id=worker_id, model_id="m", device="CPU-0", port=1, status=status, implementation="e", version=None
    )
    return WorkerHeartbeat(worker=worker, timestamp=utc_now())


async def test_the_summary_tells_who_is_there_apart_from_who_takes_work(queen: QueenService) -> None:
    for worker_id, status in (("b", "ready"), ("a", "loading")):
        queen.beat_worker(beat(worker_id, status))
    for hive_id, status in (("i", "ready"), ("h", "draining")):
        info = HiveInfo(id=hive_id, hostname="x", port=1, operational_status=status)
        queen.beat_hive(HiveHeartbeat(hive=info, timestamp=utc_now()))
    async with contextlib.aclosing(queen.heartbeats()) as lines:
        told = json.loads(await anext(lines))
    assert (told["workers_online"], told["workers_available"], told["worker_ids"]) == (2, 1, ["a", "b"])
    assert (told["hives_online"], told["hives_available"], told["hive_ids"]) == (2, 1, ["h", "i"])
    assert queen.info()["workers_total"] == 2
