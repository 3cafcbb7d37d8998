"""What the queen tells of her colony."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rbee.catalog import Resolver
from rbee.clients import Credentials, QueenClient, Transport
from rbee.clients.who import QUEEN
from rbee.contract.errors import InvalidRequestError, ModelNotFoundError
from rbee.contract.wire import (
    AggregateHeartbeat,
    AggregateWorker,
    HiveHeartbeat,
    HiveInfo,
    Planned,
    ProcessStats,
    Registration,
    WorkerBeat,
    WorkerHeartbeat,
    utc_now,
)
from rbee.queen import QueenService
from rbee.settings.model import Settings
from unit.programs import TOKEN, Programs, until

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
        queen.reports.beat_worker(beat(worker_id, status))
    for hive_id, status in (("i", "ready"), ("h", "draining")):
        info = HiveInfo(id=hive_id, hostname="x", port=1, operational_status=status)
        queen.reports.beat_hive(HiveHeartbeat(hive=info, timestamp=utc_now()))
    async with contextlib.aclosing(queen.reports.heartbeats()) as lines:
        told = json.loads(await anext(lines))
    assert (told["workers_online"], told["workers_available"], told["worker_ids"]) == (2, 1, ["a", "b"])
    assert (told["hives_online"], told["hives_available"], told["hive_ids"]) == (2, 1, ["h", "i"])
    assert queen.info()["workers_total"] == 2


async def test_she_comes_up_whichever_of_her_files_is_damaged_and_sets_it_aside(
    programs: Programs, tmp_path: Path
) -> None:
    names = ("aliases", "beehives", "memory", "queen", "speeds", "standing")
    # Of the first life of a program here.
    home = tmp_path / "1"
    home.mkdir()
    for name in names:
        (home / f"{name}.db").write_bytes(b"garbage " * 1000)
    queen = (await programs.queen()).service
    assert queen.aliases.list() == []
    away = {one.name.partition(".")[0]: one for one in home.glob("*.db.damaged-*")}
    assert sorted(away) == sorted(names)
    assert {one.read_bytes() for one in away.values()} == {b"garbage " * 1000}


@pytest.mark.parametrize("identity", ["", "x" * 201, "line\nbreak", "\x1b[31m", "a\u202eb"])
async def test_ids_that_would_harm_logs_and_lists_are_refused_by_every_door(queen: QueenService, identity: str) -> None:
    info = HiveInfo(id=identity, hostname="x", port=1)
    sound = HiveInfo(id="h", hostname="x", port=1)
    measured = (ProcessStats(pid=1, worker_id=identity),)
    relayed = (AggregateWorker(worker_id=identity, state="ready"),)
    tries = (
        lambda: queen.reports.register_worker(Registration(worker_id=identity, url="http://a:1")),
        lambda: queen.reports.register_hive(Registration(component_id=identity, url="http://a:1")),
        lambda: queen.reports.beat_worker(beat(identity, "ready")),
        lambda: queen.reports.beat_hive(HiveHeartbeat(hive=info, timestamp=utc_now())),
        lambda: queen.reports.beat_aggregate(AggregateHeartbeat(hive_id=identity, timestamp=utc_now())),
        lambda: queen.reports.beat_hive(HiveHeartbeat(hive=sound, timestamp=utc_now(), workers=measured)),
        lambda: queen.reports.beat_aggregate(AggregateHeartbeat(hive_id="h", timestamp=utc_now(), workers=relayed)),
    )
    for attempt in tries:
        with pytest.raises(InvalidRequestError):
            attempt()
    assert queen.workers() == []
    assert queen.info()["hives"] == []


async def test_an_aggregate_beat_from_the_future_does_not_keep_right_ones_out(
    queen: QueenService, caplog: pytest.LogCaptureFixture
) -> None:
    def aggregate(timestamp: datetime) -> bool:
        worker = AggregateWorker(worker_id="w", state="ready", url="http://a:1")
        return queen.reports.beat_aggregate(AggregateHeartbeat(hive_id="h", timestamp=timestamp, workers=(worker,)))

    future = utc_now() + timedelta(days=2000)
    right = utc_now() - timedelta(seconds=2)
    assert aggregate(right)
    assert aggregate(future)
    assert not aggregate(right), "a late one is still late"
    assert aggregate(future)
    assert aggregate(right + timedelta(seconds=1))
    assert [record.getMessage() for record in caplog.records if "ahead of the queen's" in record.getMessage()] != []


async def test_the_time_of_a_beat_may_leave_out_its_zone(queen: QueenService) -> None:
    info = HiveInfo(id="h", hostname="x", port=1)
    assert queen.reports.beat_hive(HiveHeartbeat(hive=info, timestamp=utc_now().replace(tzinfo=None)))


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "m", "prompt": "p", "frobnicate": 1}, "frobnicate"),
        ({"model": "m"}, "prompt"),
        ({"prompt": "p"}, "model"),
        ({"model": "m", "prompt": "p", "temperature": 99}, "temperature"),
        ({"model": "m", "prompt": 1}, "prompt"),
    ],
)
async def test_a_question_that_cannot_be_answered_becomes_no_job(
    queen: QueenService, body: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await queen.jobs.submit({"operation": "infer", **body})
    assert caught.value.param == param
    assert await queen.jobs.list() == []


@pytest.mark.parametrize("operation", ["worker_process_get", "worker_process_delete"])
async def test_an_operation_on_a_worker_that_names_none_becomes_no_job(queen: QueenService, operation: str) -> None:
    with pytest.raises(InvalidRequestError, match="'worker_id' is missing"):
        await queen.jobs.submit({"operation": operation})
    assert await queen.jobs.list() == []


@pytest.mark.parametrize("told", [{"instance_id": "old"}, {"pid": 1}, {"instance_id": "old", "pid": 1}])
async def test_late_news_of_a_process_does_not_hit_the_one_started_under_its_id(
    programs: Programs, told: dict[str, Any]
) -> None:
    program = await programs.queen()
    queen, transport = program.service, Transport(program.url, Credentials(TOKEN), QUEEN)
    client = QueenClient(transport)
    queen.reports.register_worker(Registration(worker_id="w", url="http://a:1", instance_id="old", pid=1))
    queen.reports.register_worker(Registration(worker_id="w", url="http://a:2", instance_id="new", pid=2))
    await client.remove_worker("w", **told)
    assert [one.worker_id for one in queen.workers()] == ["w"]
    await client.remove_worker("w", instance_id="new", pid=2)
    assert queen.workers() == []
    await client.remove_worker("w", **told)
    await transport.close()


async def test_who_names_no_process_removes_whichever_has_the_id(queen: QueenService) -> None:
    queen.reports.register_worker(Registration(worker_id="w", url="http://a:1", instance_id="i", pid=1))
    queen.reports.remove_worker("w")
    assert queen.workers() == []


async def test_what_lies_on_a_hives_disk_is_known_listed_and_planned_with(programs: Programs, shelf: Any) -> None:
    program = await programs.queen()
    queen = program.service
    hive = (await programs.hive(queen_url=program.url)).service
    hive.catalog._resolver = Resolver([shelf])
    model = shelf.put("m", {"a": b"a"}, model_format="gguf")
    await hive.catalog.bring(model, lambda done, total: None)
    await until(lambda: queen.catalogs.index.knows("m"))
    (listed,) = [one for one in await queen.models(trusted=True) if one["id"] == "m"]
    assert listed["rbee"] == {"model_id": "shelf:m", "state": "available", "hives": ["h"]}
    assert (await queen.names.resolve("m", trusted=False)).model_ids == ("shelf:m",)
    transport = Transport(program.url, Credentials(TOKEN), QUEEN)
    try:
        jobs = QueenClient(transport).jobs
        events = [event async for event in jobs.events(await jobs.submit("model_plan", model="m", slots=2))]
    finally:
        await transport.close()
    plan = msgspec.convert(next(event.payload for event in events if event.action == "result"), Planned)
    assert [variant.model_id for variant in plan.variants] == ["shelf:m"]
    (row,) = plan.hives
    assert (row.hive_id, row.chosen) == ("h", None)
    assert row.reasons == ("no engine there opens the format 'gguf'",)
    await hive.catalog.remove("shelf:m")
    await until(lambda: not queen.catalogs.index.knows("m"))
    with pytest.raises(ModelNotFoundError):
        await queen.names.resolve("m", trusted=False)
