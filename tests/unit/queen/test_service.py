"""What the queen tells of her colony."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rbee.clients import QueenClient, Transport
from rbee.contract.errors import InvalidRequestError
from rbee.contract.wire import (
    AggregateHeartbeat,
    HiveHeartbeat,
    HiveInfo,
    Registration,
    WorkerBeat,
    WorkerHeartbeat,
    utc_now,
)
from rbee.queen import QueenService
from rbee.settings.model import Settings
from unit.programs import TOKEN, Programs

# Said of every handler of ours; the pinned Litestar still does what it says will change.
pytestmark = pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")


@pytest.fixture
async def programs(tmp_path: Path) -> AsyncIterator[Programs]:
    made = Programs(tmp_path, Settings())
    yield made
    await made.close()


@pytest.fixture
async def queen(programs: Programs) -> QueenService:
    return (await programs.queen()).service


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


@pytest.mark.parametrize("identity", ["", "x" * 201, "line\nbreak"])
async def test_ids_that_would_harm_logs_and_lists_are_refused_by_every_door(queen: QueenService, identity: str) -> None:
    info = HiveInfo(id=identity, hostname="x", port=1)
    tries = (
        lambda: queen.register_worker(Registration(worker_id=identity, url="http://a:1")),
        lambda: queen.register_hive(Registration(component_id=identity, url="http://a:1")),
        lambda: queen.beat_worker(beat(identity, "ready")),
        lambda: queen.beat_hive(HiveHeartbeat(hive=info, timestamp=utc_now())),
        lambda: queen.beat_aggregate(AggregateHeartbeat(hive_id=identity, timestamp=utc_now())),
    )
    for attempt in tries:
        with pytest.raises(InvalidRequestError):
            attempt()
    assert queen.workers() == []
    assert queen.info()["hives"] == []


@pytest.mark.parametrize("told", [{"instance_id": "old"}, {"pid": 1}, {"instance_id": "old", "pid": 1}])
async def test_late_news_of_a_process_does_not_hit_the_one_started_under_its_id(
    programs: Programs, told: dict[str, Any]
) -> None:
    program = await programs.queen()
    queen, transport = program.service, Transport(program.url, TOKEN, "The queen")
    client = QueenClient(transport)
    queen.register_worker(Registration(worker_id="w", url="http://a:1", instance_id="old", pid=1))
    queen.register_worker(Registration(worker_id="w", url="http://a:2", instance_id="new", pid=2))
    await client.remove_worker("w", **told)
    assert [one.worker_id for one in queen.workers()] == ["w"]
    await client.remove_worker("w", instance_id="new", pid=2)
    assert queen.workers() == []
    await client.remove_worker("w", **told)
    await transport.close()


async def test_who_names_no_process_removes_whichever_has_the_id(queen: QueenService) -> None:
    queen.register_worker(Registration(worker_id="w", url="http://a:1", instance_id="i", pid=1))
    queen.remove_worker("w")
    assert queen.workers() == []
