"""Loading and unloading by name, over real telemetry and pretended hives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rbee.catalog import Resolver
from rbee.contract import Backend, Device, DeviceType, EngineInfo
from rbee.contract.errors import (
    ConflictError,
    InvalidRequestError,
    ModelFileError,
    ModelNotFoundError,
    NoPlacementError,
    NotFoundError,
    RbeeError,
    UnreachableError,
    WorkerFailedError,
)
from rbee.contract.wire import HiveHeartbeat, HiveInfo, JobEvent, Loaded, Registration, Unloaded, WorkerBeat, utc_now
from rbee.jobs import Narrator
from rbee.queen.changes import Changes
from rbee.queen.demand import Demand
from rbee.queen.departures import Departures
from rbee.queen.held import HeldIndex
from rbee.queen.loads import Loads
from rbee.queen.looks import Looks
from rbee.queen.names import ModelNames
from rbee.queen.operations import Loading
from rbee.queen.operations.loading import load_checked
from rbee.queen.remote_figures import RemoteFigures
from rbee.queen.residence import Residence
from rbee.queen.soon import RoomSoon
from rbee.queen.standing import Standing
from rbee.queen.views import Views
from rbee.queen.yielding import Yielding
from rbee.settings.model import QueenSettings, Settings
from rbee.telemetry import TelemetryRegistry


class Hives:
    """Two machines that do what the test says."""

    def __init__(self, colony: Colony) -> None:
        self._colony = colony
        self.spawned: list[tuple[str, int | None]] = []
        self.stopped: list[tuple[str, bool]] = []
        self.refuse: dict[str, list[RbeeError]] = {}
        self.stays: set[str] = set()
        self.go = asyncio.Event()
        self.go.set()

    def choose(self, hive_id: str) -> str:
        if hive_id not in {"a", "b"}:
            raise NotFoundError(f"Hive {hive_id!r} is not online.")
        return hive_id

    async def run(
        self, hive_id: str, operation: str, fields: dict[str, Any], tell: Any, *, correlation_id: str | None = None
    ) -> dict[str, Any]:
        if operation == "worker_process_delete":
            await self.go.wait()
            worker_id = fields["worker_id"]
            if worker_id in self.stays:
                raise WorkerFailedError(f"{worker_id} does not end.")
            self.stopped.append((worker_id, fields.get("force", False)))
        elif operation == "worker_spawn":
            if self.refuse.get(hive_id):
                raise self.refuse[hive_id].pop(0)
            self.spawned.append((hive_id, fields.get("context_length")))
            context = fields.get("context_length", 512)
            # A worker's own word may come after its hive's.
            asyncio.get_running_loop().call_later(
                0.01, lambda: self._colony.worker(fields["worker_id"], hive_id, context_length=context)
            )
        return {}


class Colony:
    def __init__(self, shelf: Any, clock: Any, home: Path) -> None:
        self.changes = Changes()
        self.telemetry = TelemetryRegistry(clock, on_change=self.changes.tell)
        self.hives = hives = Hives(self)
        held = HeldIndex()
        resolver = Resolver([shelf])
        self.names = names = ModelNames(resolver, self.telemetry, clock, held)
        settings = Settings(queen=QueenSettings(slot_wait_s=0.2))
        self.departures = Departures(self.telemetry, hives)  # type: ignore[arg-type]  # all that is asked of them
        demand = Demand(hives, clock, self.departures.evict)  # type: ignore[arg-type]  # likewise
        views = Views(self.telemetry, held, clock, demand.failure, coming=demand.coming, leaves=self.departures.leaves)
        self.residence = Residence(home, self.telemetry, self.departures, settings, clock, lambda _: False)
        loads = Loads(
            self.telemetry,
            names,
            views,
            Looks(views, RemoteFigures(resolver, clock=clock)),
            demand,
            RoomSoon(
                views,
                demand,
                self.departures,
                settings.queen.max_waiting,
                Yielding(settings.queen.turn_s, lambda _: None),
            ),
            self.changes,
            settings,
        )
        self.loading = Loading(self.telemetry, names, loads, hives, self.departures, self.residence)  # type: ignore[arg-type]  # likewise
        self.told: list[JobEvent] = []
        self._seq = 0

    def hive(self, hive_id: str, threads_free: int = 2) -> None:
        self.telemetry.update_hive_state(
            HiveHeartbeat(
                hive=HiveInfo(id=hive_id, hostname="x", port=1, url=f"http://{hive_id}:1", threads_free=threads_free),
                timestamp=utc_now(),
                capabilities=(Device(id="CPU-0", name="p", device_type=DeviceType.CPU),),
                engines=(
                    EngineInfo(
                        name="e", version=None, formats=("blob",), backends=(Backend.CPU,), capabilities=("chat",),
                        available=True,
                    ),
                ),
            )
        )  # fmt: skip

    def worker(self, name: str, hive_id: str | None = "a", busy: int = 0, **more: Any) -> None:
        self._seq += 1
        self.telemetry.register_worker(
            Registration(
                component_type="worker", component_id=name, url="http://127.0.0.1:1",
                spawned_by=more.pop("spawned_by", f"hive-{hive_id}"),
            )
        )  # fmt: skip
        fields = {"model_id": "shelf:m", "model_name": "m", "context_length": 512} | more
        self.telemetry.beat_worker(
            WorkerBeat(
                id=name, device="CPU-0", port=1, status="ready", implementation="e", version=None, instance_id=name,
                seq=self._seq, slots_total=2, slots_available=2 - busy, hive_id=hive_id, **fields,
            )
        )  # fmt: skip

    async def load(self, **wanted: Any) -> Loaded:
        return await self.loading.load({"operation": "load", "model": "m", **wanted}, self._narrator())

    async def unload(self, **wanted: Any) -> Unloaded:
        return await self.loading.unload({"operation": "unload", "model": "m", **wanted}, self._narrator())

    def standing(self) -> Standing | None:
        return self.residence.standings.of("shelf:m")

    def _narrator(self) -> Narrator:
        return Narrator("job-1", None, self.told.append)


@pytest.fixture
async def colony(shelf: Any, clock: Any, tmp_path: Path) -> AsyncIterator[Colony]:
    shelf.put("m", {"a": b"a"})
    made = Colony(shelf, clock, tmp_path)
    made.hive("a")
    made.hive("b")
    yield made
    await made.residence.close()


async def test_replicas_come_to_different_machines(colony) -> None:
    done = await colony.load(replicas=3)
    assert (done.started, len(done.workers)) == (3, 3)
    first, second, third = (hive_id for hive_id, _ in colony.hives.spawned)
    assert first != second
    assert third in {first, second}
    assert (await colony.load(replicas=2)).started == 0
    assert colony.standing() is None


async def test_a_machine_that_was_named_is_the_only_one(colony) -> None:
    await colony.load(replicas=2, hive_id="b")
    assert [hive_id for hive_id, _ in colony.hives.spawned] == ["b", "b"]
    with pytest.raises(NotFoundError, match="'c' is not online"):
        await colony.load(hive_id="c")


async def test_a_machine_that_does_not_know_the_model_is_passed_by(colony) -> None:
    colony.hives.refuse["a"] = [ModelNotFoundError("a knows no m.")] * 2
    assert (await colony.load()).started == 1
    assert [hive_id for hive_id, _ in colony.hives.spawned] == ["b"]
    with pytest.raises(ModelNotFoundError, match="a knows no m"):
        await colony.load(hive_id="a", replicas=2)


@pytest.mark.parametrize("error", [WorkerFailedError("It died."), ModelFileError("It is cut off there.")])
async def test_where_a_worker_has_crashed_another_machine_is_tried(colony, error) -> None:
    colony.hives.refuse["a"] = [error]
    assert (await colony.load()).started == 1
    assert [hive_id for hive_id, _ in colony.hives.spawned] == ["b"]
    colony.hives.refuse = {"a": [WorkerFailedError("It died at a.")], "b": [WorkerFailedError("It died at b.")]}
    with pytest.raises(WorkerFailedError, match="It died at a"):
        await colony.load(replicas=2)


async def test_what_changes_while_it_is_decided_is_decided_anew_but_not_for_ever(colony) -> None:
    colony.hives.refuse["a"] = [NoPlacementError("It is in use again.")]
    assert (await colony.load(hive_id="a")).started == 1
    colony.hives.refuse["b"] = [NoPlacementError("It is in use again.")] * 3
    with pytest.raises(NoPlacementError, match="in use again"):
        await colony.load(hive_id="b")


async def test_pins_and_words_hold_from_the_first_replica_on(colony) -> None:
    colony.hive("b", threads_free=0)
    colony.hives.refuse["a"] = []
    spawned = colony.worker

    def spawn_and_fail(*args: Any, **more: Any) -> None:
        spawned(*args, **more)
        colony.hives.refuse["a"] = [WorkerFailedError("It died.")]

    colony.worker = spawn_and_fail
    with pytest.raises(WorkerFailedError, match=r"It died\."):
        await colony.load(replicas=2, pin=True, keep_alive="5m")
    assert colony.standing() == Standing(model_id="shelf:m", pinned=True, keep_alive_s=300.0)
    await colony.load()
    assert colony.standing() == Standing(model_id="shelf:m", pinned=True, keep_alive_s=300.0)
    await colony.load(keep_alive="1h")
    assert colony.standing() == Standing(model_id="shelf:m", pinned=True, keep_alive_s=3600.0)


async def test_what_was_said_of_a_model_last_comes_before_what_a_request_said(colony) -> None:
    colony.worker("w")
    entry = colony.telemetry.get_worker("w")
    colony.residence.keeping.said("w", 7.0)
    await colony.load()
    assert colony.residence.keeping.kept_s(entry) == 7.0
    await colony.load(keep_alive="60")
    assert colony.residence.keeping.kept_s(entry) == 60.0
    colony.residence.keeping.said("w", 8.0)
    assert colony.residence.keeping.kept_s(entry) == 8.0


async def test_workers_with_less_context_than_is_asked_for_do_not_count(colony) -> None:
    colony.worker("small", context_length=512)
    colony.worker("silent", hive_id="b", context_length=None)
    assert (await colony.load(context_length=512)).workers == ("silent", "small")
    done = await colony.load(context_length=1024, replicas=2)
    assert (done.started, "silent" in done.workers, "small" in done.workers) == (1, True, False)
    assert colony.hives.spawned[-1][1] == 1024


async def test_who_has_no_room_for_more_context_is_told_what_makes_room(colony) -> None:
    colony.worker("small")
    colony.hive("a", threads_free=0)
    colony.hive("b", threads_free=0)
    with pytest.raises(NoPlacementError, match=r"less context by small: `rbee unload m` makes room\.") as refused:
        await colony.load(context_length=1024)
    assert {one["subject"] for one in refused.value.details["reasons"]} == {"hive a", "hive b"}


async def test_room_that_a_worker_leaves_is_waited_for(colony) -> None:
    colony.worker("leaves", model_id="shelf:o", model_name="o")
    colony.hive("a", threads_free=0)
    colony.hive("b", threads_free=0)
    colony.hives.go.clear()
    leaving = colony.departures.begin_idle("a", "leaves", lambda event: None)
    loading = asyncio.create_task(colony.load())
    await asyncio.sleep(0.01)
    assert not loading.done()
    colony.hive("a", threads_free=1)
    colony.hives.go.set()
    assert (await loading).started == 1
    assert leaving.done()


async def test_unloading_stops_all_workers_at_the_same_time_and_takes_the_pin_away(colony) -> None:
    await colony.load(replicas=2, pin=True)
    colony.hives.go.clear()
    unloading = asyncio.create_task(colony.unload())
    await asyncio.sleep(0.01)
    assert [entry.state.value for entry in colony.telemetry.find_workers_by_model("shelf:m")] == ["draining"] * 2
    colony.hives.go.set()
    assert len((await unloading).stopped) == 2
    assert colony.telemetry.find_workers_by_model("shelf:m") == []
    assert colony.standing() is None


async def test_one_worker_or_one_machine_can_be_named_and_the_pin_stays_with_the_rest(colony) -> None:
    colony.worker("one")
    colony.worker("two", hive_id="b")
    await colony.load(pin=True)
    with pytest.raises(ConflictError, match="'one' is on hive 'a'; leave --hive out"):
        await colony.unload(model="one", hive_id="b")
    assert (await colony.unload(model="one", force=True)).stopped == ("one",)
    assert colony.standing() is not None
    with pytest.raises(ModelNotFoundError, match="No worker has loaded 'm'"):
        await colony.unload(hive_id="a")
    assert (await colony.unload(hive_id="b")).stopped == ("two",)
    assert colony.hives.stopped == [("one", True), ("two", False)]
    assert colony.standing() is None


async def test_one_that_does_not_end_keeps_no_other_from_ending_and_its_pin(colony) -> None:
    colony.worker("stuck")
    colony.worker("other")
    await colony.load(pin=True)
    colony.hives.stays = {"stuck"}
    with pytest.raises(WorkerFailedError, match="stuck does not end"):
        await colony.unload()
    assert colony.hives.stopped == [("other", False)]
    assert colony.telemetry.get_worker("stuck").state.value == "ready"
    assert colony.standing() is not None


async def test_what_nobody_has_loaded_is_told_whatever_the_vendors_say(colony, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelNotFoundError, match="No worker has loaded 'nix'"):
        await colony.unload(model="nix")

    async def silent(name: str, *, trusted: bool) -> None:
        raise UnreachableError("The hub does not answer.")

    monkeypatch.setattr(colony.names, "resolve", silent)
    with pytest.raises(ModelNotFoundError, match="No worker has loaded 'worker-gone'"):
        await colony.unload(model="worker-gone")


async def test_what_was_said_before_of_a_model_is_told_by_the_next_load(colony) -> None:
    first = await colony.load(pin=True, keep_alive="5m")
    assert (first.pinned, first.keep_alive_s) == (True, 300.0)
    again = await colony.load()
    assert (again.pinned, again.keep_alive_s) == (True, 300.0)
    await colony.unload()
    third = await colony.load()
    assert (third.pinned, third.keep_alive_s) == (False, None)


async def test_what_no_hive_has_started_is_left_alone(colony) -> None:
    colony.worker("foreign", spawned_by="systemd")
    with pytest.raises(ConflictError, match="'foreign' was not started by a hive"):
        await colony.unload()
    colony.worker("ours", hive_id="b")
    assert (await colony.unload()).stopped == ("ours",)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"keep_alive": "soon"}, "'keep_alive': 'soon' is no span of time"),
        ({"where": ["gpu"]}, "'where'"),
        ({"replicas": 0}, "replicas"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_request_that_cannot_be_is_refused_before_a_job_is_made(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidRequestError, match=told):
        load_checked({"operation": "load", "model": "m", **fields})
