"""From a request to a slot: who waits, who goes first, who is told what."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from rbee.builtin.policies import SeedPolicy
from rbee.catalog import Resolver
from rbee.clients import Credentials
from rbee.contract import Backend, Device, DeviceType, EngineInfo, ModelFile, ModelVariant
from rbee.contract.errors import (
    AllSlotsBusyError,
    EngineUnavailableError,
    InsufficientDiskError,
    InsufficientMemoryError,
    InvalidRequestError,
    ModelFileError,
    ModelNotFoundError,
    NoPlacementError,
    QueueFullError,
    RequestTimeoutError,
    WorkerFailedError,
)
from rbee.contract.wire import (
    HeldModel,
    HiveHeartbeat,
    HiveInfo,
    JobEvent,
    NodeStats,
    Registration,
    WorkerBeat,
    utc_now,
)
from rbee.gateway import Outcome, Queued, Route
from rbee.queen.breakers import Breakers
from rbee.queen.demand import Demand
from rbee.queen.departures import Departures
from rbee.queen.dispatcher import QueenDispatcher, WorkerLease
from rbee.queen.guarded import GuardedPolicy
from rbee.queen.held import HeldIndex
from rbee.queen.looks import Looks
from rbee.queen.names import ModelNames
from rbee.queen.remote_figures import RemoteFigures
from rbee.queen.soon import RoomSoon
from rbee.queen.views import Views
from rbee.queen.wanted import Wanted
from rbee.queen.yielding import Yielding
from rbee.settings.model import QueenSettings, Settings
from rbee.telemetry import TelemetryRegistry
from rbee.testing.hub import Hub
from rbee.testing.hub.gguf_sample import gguf_bytes
from unit.queen.remote import RemoteVendor

PATIENCE_S = 10.0
WANTED = Wanted(model="m", trusted=True)
DONE = Outcome(reached=True)


class FakeHives:
    """Hives whose downloads and spawns do what the test says."""

    def __init__(self) -> None:
        self.spawns = 0
        self.downloads: list[tuple[str, str]] = []
        self.fetched = asyncio.Event()
        self.fetched.set()
        self.full: set[str] = set()
        self.short: set[str] = set()
        self.strangers: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.go = asyncio.Event()
        self.spawned: Any = lambda: None
        self.trouble: Exception | None = None
        self.stopped: list[str] = []
        self.left = asyncio.Event()
        self.freed: Any = lambda: None

    async def run(
        self, hive_id: str, operation: str, fields: dict[str, Any], tell: Any, *, correlation_id: str | None = None
    ) -> dict[str, Any]:
        if operation == "worker_process_delete":
            self.stopped.append(fields["worker_id"])
            await self.left.wait()
            self.freed()
            return {}
        if hive_id in self.strangers:
            raise ModelNotFoundError(f"{hive_id} knows no such model.")
        if operation == "model_download":
            self.downloads.append((hive_id, fields["model"]))
            if hive_id in self.full:
                raise InsufficientDiskError(f"The disk of {hive_id} is full.")
            await self.fetched.wait()
            return {}
        assert operation == "worker_spawn"
        self.spawns += 1
        self.asked.append((hive_id, fields["model"]))
        if hive_id in self.short:
            raise InsufficientMemoryError(f"{hive_id} has 3 MiB left.")
        await self.go.wait()
        if self.trouble is not None:
            raise self.trouble
        self.spawned()
        return {}


class Colony:
    """A dispatcher with real telemetry, real demand and one pretended hive."""

    def __init__(self, shelf: Any, clock: Any, **queen: Any) -> None:
        self.telemetry = TelemetryRegistry(clock, None, self._changed, self._opened)
        self.hives = FakeHives()
        self.hives.spawned = lambda: self.beat("w")
        self.held = HeldIndex()
        resolver = Resolver([shelf])
        names = ModelNames(resolver, self.telemetry, clock, self.held)
        self.departures = Departures(self.telemetry, self.hives)
        demand = Demand(self.hives, clock, self.departures.evict)
        breakers = Breakers(clock)
        self.yielding = yielding = Yielding(queen.get("turn_s", 10.0), self._model_of)
        views = Views(
            self.telemetry,
            self.held,
            clock,
            demand.failure,
            lambda worker_id: breakers.barred(worker_id) or yielding.barred(worker_id),
            coming=demand.coming,
            leaves=self.departures.leaves,
        )
        looks = Looks(views, RemoteFigures(resolver, clock=clock))
        settings = Settings(queen=QueenSettings(**queen))
        policy = GuardedPolicy(SeedPolicy(), SeedPolicy(), clock)
        self.dispatcher = QueenDispatcher(
            self.telemetry,
            names,
            views,
            looks,
            demand,
            policy,
            settings,
            Credentials("token"),
            breakers,
            RoomSoon(views, demand, self.departures, settings.queen.max_waiting, yielding),
            yielding,
        )
        self._seq = 0

    def _model_of(self, worker_id: str) -> str | None:
        entry = self.telemetry.get_worker(worker_id)
        return None if entry is None else entry.model_id

    def _changed(self, model_id: str) -> None:
        self.dispatcher.changes.tell(model_id)

    def _opened(self, model_id: str) -> None:
        self.dispatcher.room.wake(model_id)

    def beat(
        self,
        worker: str,
        status: str = "ready",
        slots: int = 1,
        model: str = "shelf:m",
        hive_id: str | None = None,
        capabilities: tuple[str, ...] = ("chat",),
    ) -> None:
        self._seq += 1
        self.telemetry.beat_worker(
            WorkerBeat(
                id=worker, model_id=model, device="CPU-0", port=1, status=status, implementation="e",
                version=None, instance_id="i", seq=self._seq, slots_total=slots, slots_available=slots,
                capabilities=capabilities, hive_id=hive_id,
            )
        )  # fmt: skip

    def hive(self, hive_id: str = "h", ram_mb: int | None = None, threads_free: int = 2, **engine: Any) -> None:
        facts = {"formats": ("blob",), "backends": (Backend.CPU,), "capabilities": ("chat",), "available": True}
        self.telemetry.update_hive_state(
            HiveHeartbeat(
                hive=HiveInfo(id=hive_id, hostname="box", port=1, url="http://box:1", threads_free=threads_free),
                timestamp=utc_now(),
                capabilities=(Device(id="CPU-0", name="p", device_type=DeviceType.CPU),),
                engines=(EngineInfo(name="e", version=None, **(facts | engine)),),
                node=None if ram_mb is None else NodeStats(ram_used_mb=0, ram_total_mb=ram_mb),
            )
        )

    def ask(self, wanted: Wanted = WANTED) -> asyncio.Task[WorkerLease]:
        return asyncio.create_task(self.dispatcher.place(wanted))


@pytest.fixture
async def make(shelf, clock):
    shelf.put("m", {"a": b"a"})
    tasks: list[asyncio.Task[Any]] = []

    def made(vendor: Any = shelf, **queen: Any) -> Colony:
        colony = Colony(vendor, clock, **queen)
        ask = colony.ask

        def recorded(wanted: Wanted = WANTED) -> asyncio.Task[WorkerLease]:
            tasks.append(ask(wanted))
            return tasks[-1]

        colony.ask = recorded
        return colony

    yield made
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def soon(task: asyncio.Task[Any]) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        return await task


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
    # Names are resolved in a thread.
    await asyncio.sleep(0.05)


async def test_a_free_slot_is_taken_at_once(make) -> None:
    colony = make()
    colony.beat("w")
    lease = await soon(colony.ask())
    assert (lease.worker_id, lease.target.headers) == ("w", ((b"authorization", b"Bearer token"),))
    assert colony.telemetry.get_worker("w").slots_free == 0


async def test_those_who_wait_are_served_in_the_order_of_their_coming(make) -> None:
    colony = make()
    colony.beat("w")
    first = await soon(colony.ask())
    second, third = colony.ask(), colony.ask()
    await settle()
    first.finish(DONE)
    lease = await soon(second)
    await settle()
    assert not third.done()
    lease.finish(DONE)
    assert (await soon(third)).worker_id == "w"


async def test_who_is_called_and_finds_nothing_is_not_told_another_place(make) -> None:
    colony = make()
    colony.beat("w")
    first = await soon(colony.ask())
    heard: list[list[Queued]] = [[], []]
    waiting = [
        asyncio.create_task(colony.dispatcher.place(Wanted(model="m", trusted=True, on_wait=places.append)))
        for places in heard
    ]
    await settle()
    for _ in range(3):
        colony.dispatcher.room.wake_all()
        await settle()
    assert [[place.position for place in places] for places in heard] == [[1], [2]]
    first.finish(DONE)
    (await soon(waiting[0])).finish(DONE)
    (await soon(waiting[1])).finish(DONE)


@pytest.mark.parametrize("error", [WorkerFailedError("it burst"), ModelFileError("it is cut off there")])
async def test_a_start_that_fails_is_tried_on_another_hive(make, error) -> None:
    colony = make()
    colony.hive("a")
    colony.hive("b")
    colony.hives.go.set()
    colony.hives.trouble = error

    async def run(hive_id: str, operation: str, fields: dict[str, Any], tell: Any) -> dict[str, Any]:
        if operation == "worker_spawn" and hive_id == "b":
            colony.hives.trouble = None
        return await FakeHives.run(colony.hives, hive_id, operation, fields, tell)

    colony.hives.run = run
    assert (await soon(colony.ask())).worker_id == "w"
    assert [hive_id for hive_id, _ in colony.hives.asked] == ["a", "b"]


async def test_where_every_hive_fails_the_failure_is_told(make) -> None:
    colony = make()
    for name in "abcde":
        colony.hive(name)
    colony.hives.go.set()
    colony.hives.trouble = WorkerFailedError("it burst")
    with pytest.raises(WorkerFailedError, match="it burst"):
        await soon(colony.ask())
    assert [hive_id for hive_id, _ in colony.hives.asked] == ["a", "b", "c"]


async def test_several_free_slots_reach_several_who_wait(make) -> None:
    colony = make()
    colony.beat("w")
    await soon(colony.ask())
    waiting = [colony.ask() for _ in range(3)]
    await settle()
    colony.beat("v", slots=3)
    assert {(await soon(task)).worker_id for task in waiting} == {"v"}


async def test_of_many_who_wait_for_a_load_no_more_go_than_the_worker_has_slots_before_it_has_spoken(make) -> None:
    colony = make()
    colony.hive()
    colony.hives.spawned = lambda: colony.telemetry.register_worker(
        Registration(worker_id="w", url="http://box:9", model="shelf:m", hive_id="h", state="ready", slots_total=2)
    )
    waiting = [colony.ask() for _ in range(9)]
    await settle()
    colony.hives.go.set()
    await soon(waiting[0])
    await settle()
    assert sum(one.done() for one in waiting) == 2


def registered(colony: Colony, worker: str = "w") -> None:
    """A worker that has loaded this instant: its hive has told of it, and it has not spoken itself."""
    colony.telemetry.register_worker(
        Registration(worker_id=worker, url="http://box:9", model="shelf:m", hive_id="h", state="ready", slots_total=1)
    )


CONTINUES = Route(
    request_id="r", path="/v1/chat/completions", model="m", stream=True, trusted=True, continues=True,
    tried=frozenset({"gone"}),
)  # fmt: skip


async def test_an_answer_is_taken_up_by_a_new_worker_once_it_has_said_that_it_can(make) -> None:
    colony = make()
    registered(colony)
    assert colony.dispatcher.try_acquire(CONTINUES) is None
    taking = asyncio.create_task(colony.dispatcher.acquire(CONTINUES))
    await settle()
    assert not taking.done()
    colony.beat("w", capabilities=("chat", "continuation"))
    lease = await soon(taking)
    assert (lease.worker_id, lease.capabilities) == ("w", ("chat", "continuation"))
    assert colony.telemetry.get_worker("w").reserved == 1


async def test_one_that_says_that_it_cannot_take_up_an_answer_does_not_and_has_its_slot_back(make) -> None:
    colony = make()
    registered(colony)
    taking = asyncio.create_task(colony.dispatcher.acquire(CONTINUES))
    await settle()
    colony.beat("w")
    with pytest.raises(NoPlacementError):
        await soon(taking)
    assert colony.telemetry.get_worker("w").reserved == 0


async def test_who_leaves_while_a_new_worker_has_yet_to_speak_holds_no_slot(make) -> None:
    colony = make()
    registered(colony)
    taking = asyncio.create_task(colony.dispatcher.acquire(CONTINUES))
    await settle()
    assert colony.telemetry.get_worker("w").reserved == 1
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    assert colony.telemetry.get_worker("w").reserved == 0


async def test_one_that_never_speaks_takes_up_no_answer(make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rbee.queen.dispatcher._SPOKEN_S", 0.01)
    colony = make()
    registered(colony)
    with pytest.raises(NoPlacementError):
        await soon(asyncio.create_task(colony.dispatcher.acquire(CONTINUES)))
    assert colony.telemetry.get_worker("w").reserved == 0


async def test_the_beats_of_busy_workers_make_nobody_look(make, monkeypatch: pytest.MonkeyPatch) -> None:
    colony = make()
    for worker in ("v", "w"):
        colony.beat(worker)
    taken = [await soon(colony.ask()) for _ in range(2)]
    waiting = [colony.ask() for _ in range(3)]
    await settle()
    looks: list[object] = []
    deciding = colony.dispatcher._deciding
    real = deciding.decide
    monkeypatch.setattr(deciding, "decide", lambda *args: looks.append(args) or real(*args))
    for _ in range(5):
        for worker in ("v", "w"):
            colony.beat(worker)
        await settle()
    assert looks == []
    # A worker that is new, and one that has become free: each time the first looks and takes it.
    colony.beat("x")
    assert (await soon(waiting[0])).worker_id == "x"
    taken[0].finish(DONE)
    assert (await soon(waiting[1])).worker_id == taken[0].worker_id
    assert not waiting[2].done()


async def test_nobody_who_comes_in_that_instant_overtakes_the_one_who_was_called(make) -> None:
    colony = make()
    colony.beat("w")
    first = await soon(colony.ask())
    second = colony.ask()
    await settle()
    # The name is resolved already: the newcomer decides before the one who was called has looked.
    newcomer = colony.ask()
    first.finish(DONE)
    lease = await soon(second)
    assert not newcomer.done()
    lease.finish(DONE)
    await soon(newcomer)


async def test_one_who_was_called_and_cannot_be_served_calls_the_next(make) -> None:
    colony = make()
    colony.beat("w")
    held = await soon(colony.ask())
    picky = colony.ask(Wanted(model="m", worker_id="w", trusted=True))
    patient = colony.ask()
    await settle()
    colony.beat("v")
    colony.telemetry.remove_worker("w")
    with pytest.raises(NoPlacementError):
        await soon(picky)
    assert (await soon(patient)).worker_id == "v"
    held.finish(DONE)


async def test_a_slot_that_stays_busy_is_told_in_the_end(make) -> None:
    colony = make(slot_wait_s=0.05)
    colony.beat("w")
    await soon(colony.ask())
    with pytest.raises(AllSlotsBusyError):
        await soon(colony.ask())


async def test_many_requests_for_a_model_that_is_not_loaded_start_one_worker(make) -> None:
    colony = make(slot_wait_s=0.05)
    colony.hive()
    waiting = [colony.ask() for _ in range(3)]
    await settle()
    assert colony.hives.spawns == 1
    # Longer than a request may wait for a slot: nothing serves yet, so this is no such wait.
    await asyncio.sleep(0.1)
    colony.hives.spawned = lambda: colony.beat("w", slots=3)
    colony.hives.go.set()
    assert {(await soon(task)).worker_id for task in waiting} == {"w"}


async def test_a_load_that_fails_is_told_to_all_who_wait(make) -> None:
    colony = make()
    colony.hive()
    waiting = [colony.ask() for _ in range(3)]
    await settle()
    colony.hives.trouble = WorkerFailedError("it burst")
    colony.hives.go.set()
    for task in waiting:
        with pytest.raises(WorkerFailedError, match="it burst"):
            await soon(task)


async def test_a_load_has_a_deadline(make) -> None:
    colony = make(load_timeout_s=0.1)
    colony.hive()
    with pytest.raises(RequestTimeoutError):
        await soon(colony.ask())


async def test_waiting_for_somebody_elses_load_leaves_the_event_loop_free(make) -> None:
    colony = make(max_waiting=1, load_timeout_s=PATIENCE_S)
    colony.beat("w", status="loading")
    waiting = [colony.ask() for _ in range(4)]
    await settle()
    assert not any(task.done() for task in waiting)
    colony.beat("w", slots=4)
    assert {(await soon(task)).worker_id for task in waiting} == {"w"}


async def test_more_than_may_wait_are_refused(make) -> None:
    colony = make(max_waiting=1)
    colony.beat("w")
    await soon(colony.ask())
    colony.ask()
    await settle()
    with pytest.raises(QueueFullError):
        await soon(colony.ask())


async def test_what_no_engine_offers_is_the_callers_mistake_and_starts_nothing(make) -> None:
    colony = make()
    colony.hive()
    colony.beat("w")
    with pytest.raises(InvalidRequestError, match="embeddings") as raised:
        await soon(colony.ask(Wanted(model="m", capability="embeddings", trusted=True)))
    assert raised.value.param == "model"
    assert colony.hives.spawns == 0


async def test_a_worker_that_was_not_reached_gets_nothing_until_it_speaks(make) -> None:
    colony = make(slot_wait_s=0.05)
    colony.beat("w")
    lease = await soon(colony.ask())
    lease.finish(Outcome(reached=False))
    with pytest.raises(NoPlacementError):
        await soon(colony.ask())
    colony.beat("w")
    assert (await soon(colony.ask())).worker_id == "w"


async def test_requests_at_a_worker_that_hangs_are_told(make, clock) -> None:
    colony = make()
    colony.beat("w", slots=2)
    hanging, ended = await soon(colony.ask()), await soon(colony.ask())
    told: list[str] = []
    hanging.watch(lambda: told.append("hanging"))
    ended.watch(lambda: told.append("ended"))
    ended.finish(DONE)
    colony.dispatcher.leases.abandon_lost()
    assert told == []
    clock.tick(20)
    colony.dispatcher.leases.abandon_lost()
    colony.dispatcher.leases.abandon_lost()
    assert told == ["hanging"]


def variant(word: str, model_format: str = "blob") -> ModelVariant:
    files = (ModelFile(name="f", size_bytes=1),)
    return ModelVariant(
        model_id=f"shelf:m:{word}",
        name=f"m:{word}",
        vendor="shelf",
        format=model_format,
        files=files,
        quantization=word,
    )


BEST, SECOND, FOREIGN = variant("best"), variant("second"), variant("foreign", "apple")


@pytest.fixture
def several(shelf, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One name with variants of two formats."""
    monkeypatch.setattr(type(shelf), "resolve", lambda self, ref: self.resolved.append(ref) or (BEST, SECOND, FOREIGN))
    return shelf


@pytest.mark.usefixtures("several")
async def test_a_worker_of_any_variant_answers(make) -> None:
    colony = make()
    colony.beat("w", model="shelf:m:foreign")
    lease = await soon(colony.ask())
    assert (lease.worker_id, lease.model_id) == ("w", "shelf:m:foreign")
    waiting = colony.ask()
    await settle()
    colony.beat("v", model="shelf:m:second")
    assert (await soon(waiting)).worker_id == "v"
    again = colony.ask()
    await settle()
    lease.finish(DONE)
    assert (await soon(again)).worker_id == "w"


@pytest.mark.usefixtures("several")
async def test_a_worker_of_any_variant_that_loads_is_waited_for(make) -> None:
    colony = make(load_timeout_s=PATIENCE_S)
    colony.beat("w", status="loading", model="shelf:m:second")
    waiting = [colony.ask() for _ in range(2)]
    await settle()
    colony.beat("w", slots=2, model="shelf:m:second")
    assert {(await soon(task)).worker_id for task in waiting} == {"w"}


@pytest.mark.usefixtures("several")
async def test_the_hive_that_is_chosen_is_asked_for_its_own_variant(make) -> None:
    colony = make()
    colony.hive("mac", formats=("apple",))
    told: list[JobEvent] = []
    waiting = [colony.ask(Wanted(model="m", trusted=True, tell=told.append)) for _ in range(3)]
    await settle()
    assert colony.hives.asked == [("mac", "shelf:m:foreign")]
    colony.hives.spawned = lambda: colony.beat("w", slots=3, model="shelf:m:foreign")
    colony.hives.go.set()
    assert {(await soon(task)).worker_id for task in waiting} == {"w"}
    (choice,) = told
    assert choice.human == (
        "m is shelf:m:foreign, with e on CPU-0 of mac: foreign (apple) is what there is for CPU-0; it needs about 0.0 MiB, "
        "and what is free is unknown"
    )


async def test_what_is_named_exactly_is_not_explained(make) -> None:
    colony = make()
    colony.hive()
    colony.hives.go.set()
    told: list[JobEvent] = []
    await soon(colony.ask(Wanted(model="shelf:m", trusted=True, tell=told.append)))
    assert told == []


async def test_what_lies_on_a_disk_is_taken_and_no_vendor_asked(make, several) -> None:
    colony = make()
    colony.hive()
    colony.held.put("h", [HeldModel(variant=msgspec.structs.replace(SECOND, name="m"), key="k")])
    colony.hives.spawned = lambda: colony.beat("w", model="shelf:m:second")
    colony.hives.go.set()
    assert (await soon(colony.ask())).worker_id == "w"
    assert colony.hives.asked == [("h", "shelf:m:second")]
    assert several.resolved == []


async def test_where_what_lies_here_will_not_do_the_vendors_are_asked_for_others(make, several) -> None:
    colony = make()
    colony.hive("mac", formats=("apple",))
    colony.held.put("gone", [HeldModel(variant=msgspec.structs.replace(SECOND, name="m"), key="k")])
    colony.hives.spawned = lambda: colony.beat("w", model="shelf:m:foreign")
    colony.hives.go.set()
    assert (await soon(colony.ask())).worker_id == "w"
    assert (colony.hives.asked, several.resolved) == ([("mac", "shelf:m:foreign")], ["m"])


async def test_when_no_variant_will_do_every_machine_says_why(make, several) -> None:
    colony = make()
    colony.hive(formats=("other",))
    with pytest.raises(EngineUnavailableError, match="no engine there opens the formats 'apple', 'blob'") as raised:
        await soon(colony.ask())
    assert [reason["subject"] for reason in raised.value.details["reasons"]] == ["hive h"]
    assert "'m' cannot be placed" in raised.value.message


@pytest.mark.usefixtures("several")
async def test_a_free_slot_of_one_variant_is_not_kept_for_one_who_wants_another(make) -> None:
    colony = make()
    colony.beat("w", model="shelf:m:best")
    colony.beat("v", model="shelf:m:second")
    colony.held.put("h", [HeldModel(variant=BEST, key="k")])
    exact = Wanted(model="shelf:m:best", trusted=True)
    held = await soon(colony.ask(exact))
    waits = colony.ask(exact)
    await settle()
    assert (await soon(colony.ask())).worker_id == "v"
    assert not waits.done()
    held.finish(DONE)
    assert (await soon(waits)).worker_id == "w"


async def test_one_who_is_called_in_vain_keeps_nobody_behind_him_from_another_worker(make) -> None:
    colony = make()
    colony.beat("w")
    colony.beat("v")
    taken = {lease.worker_id: lease for lease in [await soon(colony.ask()), await soon(colony.ask())]}
    picky = colony.ask(Wanted(model="m", worker_id="w", trusted=True))
    await settle()
    patient = colony.ask()
    await settle()
    taken["v"].finish(DONE)
    lease = await soon(patient)
    assert lease.worker_id == "v"
    lease.finish(DONE)
    # Nor one who comes only now.
    assert (await soon(colony.ask())).worker_id == "v"
    assert not picky.done()
    taken["w"].finish(DONE)
    assert (await soon(picky)).worker_id == "w"


@pytest.mark.usefixtures("several")
async def test_what_lies_on_a_disk_is_not_kept_waiting_for_another_variants_download(make) -> None:
    colony = make()
    colony.hive("a")
    colony.hive("b")
    colony.held.put("a", [HeldModel(variant=BEST, key="k")])
    colony.held.put("gone", [HeldModel(variant=SECOND, key="k")])
    colony.hives.fetched.clear()
    slow = colony.ask(Wanted(model="shelf:m:second", hive_id="b", trusted=True))
    await settle()
    assert colony.hives.downloads == [("b", "shelf:m:second")]
    colony.hives.spawned = lambda: colony.beat("w", slots=2, model="shelf:m:best")
    colony.hives.go.set()
    assert (await soon(colony.ask())).worker_id == "w"
    assert colony.hives.asked == [("a", "shelf:m:best")]
    assert not slow.done()


async def test_a_hive_that_does_not_know_the_model_sends_the_request_to_the_next(make) -> None:
    colony = make()
    for hive_id in ("a", "b", "c"):
        colony.hive(hive_id)
    colony.hives.strangers = {"a", "b"}
    colony.hives.go.set()
    first, second = colony.ask(), colony.ask()
    for task in (first, second):
        lease = await soon(task)
        lease.finish(DONE)
    assert colony.hives.asked == [("c", "shelf:m")]


async def test_a_model_that_no_hive_knows_or_not_the_one_that_is_meant_is_not_found(make) -> None:
    colony = make()
    colony.hive("a")
    colony.hive("b")
    colony.hives.strangers = {"a", "b"}
    with pytest.raises(ModelNotFoundError, match="a knows no such model"):
        await soon(colony.ask())
    colony.hives.strangers = {"a"}
    with pytest.raises(ModelNotFoundError):
        await soon(colony.ask(msgspec.structs.replace(WANTED, hive_id="a")))
    assert colony.hives.asked == []


async def test_a_refusal_of_those_that_know_the_model_says_who_does_not(make) -> None:
    colony = make()
    colony.hive("a")
    colony.hive("b", available=False, reason="it is broken")
    colony.hives.strangers = {"a"}
    with pytest.raises(EngineUnavailableError, match=r"hive b: it is broken; hive a: a knows no such model"):
        await soon(colony.ask())


async def test_a_full_disk_sends_the_request_to_the_next_hive(make) -> None:
    colony = make()
    colony.hive("a")
    colony.hive("b")
    colony.hives.full = {"a"}
    colony.hives.go.set()
    assert (await soon(colony.ask())).worker_id == "w"
    assert colony.hives.downloads == [("a", "shelf:m"), ("b", "shelf:m")]
    colony.telemetry.remove_worker("w")
    assert (await soon(colony.ask())).worker_id == "w"
    assert colony.hives.downloads == [("a", "shelf:m"), ("b", "shelf:m"), ("b", "shelf:m")], "it is remembered"


async def test_a_hive_that_has_not_the_memory_after_all_is_asked_once_more_and_then_the_next_one(make) -> None:
    colony = make()
    colony.hive("a")
    colony.hive("b")
    colony.hives.short = {"a"}
    colony.hives.go.set()
    assert (await soon(colony.ask())).worker_id == "w"
    assert [hive_id for hive_id, _ in colony.hives.asked] == ["a", "a", "b"]


async def test_where_no_hive_has_the_memory_its_numbers_are_told(make) -> None:
    colony = make()
    colony.hive("a")
    colony.hives.short = {"a"}
    with pytest.raises(InsufficientMemoryError, match="a has 3 MiB left"):
        await soon(colony.ask())


async def test_starts_under_way_hold_what_they_will_take_and_who_needs_it_waits_for_their_end(make, shelf) -> None:
    colony = make()
    colony.hive()
    others = [Wanted(model=name, trusted=True) for name in ("n", "o")]
    for wanted in others:
        shelf.put(wanted.model, {"a": b"a"})
    colony.hives.spawned = lambda: [colony.beat(f"w-{name}", model=f"shelf:{name}") for name in "mno"]
    asked = [colony.ask(), colony.ask(others[0])]
    while colony.hives.spawns < 2:
        await asyncio.sleep(0)
    third = colony.ask(others[1])
    await settle()
    assert (third.done(), colony.hives.spawns) == (False, 2), "the hive has two threads"
    colony.hives.go.set()
    assert [(await soon(one)).worker_id for one in (*asked, third)] == ["w-m", "w-n", "w-o"]
    assert colony.hives.spawns == 2


@pytest.mark.parametrize("fetched", [True, False], ids=["it starts", "it is fetched"])
async def test_who_comes_when_the_last_room_is_taken_by_a_load_of_what_he_wants_waits_for_that(make, fetched) -> None:
    colony = make()
    colony.hive(threads_free=1)
    if not fetched:
        colony.hives.fetched.clear()
    first = colony.ask()
    while not colony.hives.downloads or (fetched and not colony.hives.spawns):
        await asyncio.sleep(0)
    # The hive has promised it the thread, and it has not spoken yet.
    colony.hive(threads_free=0)
    second = colony.ask()
    await settle()
    assert not second.done()
    colony.hives.fetched.set()
    colony.hives.go.set()
    lease = await soon(first)
    lease.finish(DONE)
    assert (await soon(second)).worker_id == "w"
    assert colony.hives.spawns == 1


@pytest.mark.parametrize("idle_beside", [False, True], ids=["nobody else idle", "another one idle"])
async def test_room_that_a_worker_leaves_is_waited_for_and_nobody_else_is_stopped_for_it(make, idle_beside) -> None:
    colony = make()
    colony.hive(threads_free=0)
    colony.beat("leaves", model="shelf:o", hive_id="h")
    if idle_beside:
        colony.beat("idle", model="shelf:p", hive_id="h")
    colony.hives.freed = lambda: colony.hive(threads_free=1)
    colony.hives.go.set()
    leaving = colony.departures.begin_idle("h", "leaves", lambda event: None)
    asked = colony.ask()
    await settle()
    assert not asked.done()
    colony.hives.left.set()
    assert (await soon(asked)).worker_id == "w"
    assert leaving.done()
    assert colony.hives.stopped == ["leaves"]


async def test_who_wants_the_model_that_leaves_gets_it_anew(make) -> None:
    colony = make()
    colony.hive(threads_free=0)
    colony.beat("leaves", hive_id="h")
    colony.hives.freed = lambda: colony.hive(threads_free=1)
    colony.hives.go.set()
    colony.departures.begin_idle("h", "leaves", lambda event: None)
    asked = colony.ask()
    await settle()
    colony.hives.left.set()
    assert (await soon(asked)).worker_id == "w"


async def test_a_departure_that_takes_too_long_is_not_waited_for_for_ever(make) -> None:
    colony = make(slot_wait_s=0.05)
    colony.hive(threads_free=0)
    colony.beat("leaves", model="shelf:o", hive_id="h")
    leaving = colony.departures.begin_idle("h", "leaves", lambda event: None)
    with pytest.raises(NoPlacementError, match="threads"):
        await soon(colony.ask())
    colony.hives.left.set()
    await soon(leaving)


@pytest.fixture
def colony_of_one_thread(make):
    """Whose thread a worker of another model has, which is busy."""

    def made(**queen: Any) -> Colony:
        colony = make(**queen)
        colony.hive(threads_free=0)
        colony.beat("other", model="shelf:o", hive_id="h")
        colony.telemetry.reserve("other")
        colony.hives.freed = lambda: colony.hive(threads_free=1)
        colony.hives.left.set()
        colony.hives.go.set()
        return colony

    return made


async def test_room_that_a_busy_worker_has_is_waited_for_and_its_requests_are_left_to_end(colony_of_one_thread) -> None:
    colony = colony_of_one_thread()
    heard: list[str | None] = []
    asked = [colony.ask(Wanted(model="m", trusted=True, tell=lambda event: heard.append(event.human)))]
    asked += [colony.ask() for _ in range(2)]
    await asyncio.sleep(0.3)
    assert (any(one.done() for one in asked), colony.hives.stopped) == (False, [])
    assert heard == ["Waiting for room for m: workers that would make it are busy"]
    colony.telemetry.release("other")
    for one in asked:
        lease = await soon(one)
        assert lease.worker_id == "w"
        lease.finish(DONE)
    assert (colony.hives.stopped, colony.hives.spawns) == (["other"], 1)


async def test_a_worker_that_stays_busy_is_told_in_the_end(colony_of_one_thread) -> None:
    colony = colony_of_one_thread(slot_wait_s=0.15)
    with pytest.raises(NoPlacementError, match="busy"):
        await soon(colony.ask())
    assert colony.hives.stopped == []


async def its_turn(colony: Colony) -> None:
    while colony.yielding.barred("other") is None:
        await asyncio.sleep(0.01)


async def test_a_model_that_is_asked_for_without_a_pause_makes_room_for_one_that_has_waited_its_turn(
    colony_of_one_thread,
) -> None:
    colony = colony_of_one_thread(turn_s=0.1)
    waits = colony.ask()
    await its_turn(colony)
    # Its worker has slots, and gets nothing more; who asks for it waits for the other one's turn.
    colony.beat("other", model="shelf:o", hive_id="h", slots=4)
    after = colony.ask(Wanted(model="o", trusted=True))
    await asyncio.sleep(0.1)
    assert not after.done()
    assert colony.hives.stopped == []
    colony.telemetry.release("other")
    lease = await soon(waits)
    assert (lease.worker_id, colony.hives.stopped) == ("w", ["other"])
    assert not after.done()
    after.cancel()


async def test_before_its_turn_nobody_makes_room(colony_of_one_thread) -> None:
    colony = colony_of_one_thread(turn_s=5.0)
    waits = colony.ask()
    await asyncio.sleep(0.25)
    colony.beat("other", model="shelf:o", hive_id="h", slots=4)
    assert (await soon(colony.ask(Wanted(model="o", trusted=True)))).worker_id == "other"
    assert not waits.done()
    waits.cancel()


async def test_who_has_waited_his_turn_in_vain_keeps_nobody_from_a_worker(colony_of_one_thread) -> None:
    colony = colony_of_one_thread(turn_s=0.1, slot_wait_s=0.5)
    vain = colony.ask()
    await its_turn(colony)
    colony.beat("other", model="shelf:o", hive_id="h", slots=4)
    after = colony.ask(Wanted(model="o", trusted=True))
    with pytest.raises(NoPlacementError, match="busy"):
        await soon(vain)
    assert (await soon(after)).worker_id == "other"
    # For a while it yields to nobody.
    again = colony.ask()
    await asyncio.sleep(0.25)
    assert (await soon(colony.ask(Wanted(model="o", trusted=True)))).worker_id == "other"
    again.cancel()


async def test_no_more_wait_for_a_busy_worker_than_may_wait_for_one_model(colony_of_one_thread) -> None:
    colony = colony_of_one_thread(max_waiting=2)
    waiting = [colony.ask() for _ in range(2)]
    await settle()
    with pytest.raises(NoPlacementError, match="busy"):
        await soon(colony.ask())
    waiting.pop().cancel()
    await settle()
    waiting.append(colony.ask())
    await settle()
    assert not any(one.done() for one in waiting)


async def test_who_is_beaten_to_an_idle_worker_by_its_next_request_goes_on_waiting(colony_of_one_thread) -> None:
    colony = colony_of_one_thread()
    begin_idle, tries = colony.departures.begin_idle, []

    def beaten(*args: Any) -> asyncio.Task[None] | None:
        tries.append(args)
        return None if len(tries) < 5 else begin_idle(*args)

    colony.departures.begin_idle = beaten
    colony.telemetry.release("other")
    assert (await soon(colony.ask())).worker_id == "w"
    assert len(tries) == 5


async def test_who_may_not_wait_is_refused_for_what_starts_under_way_hold(make, shelf) -> None:
    colony = make(slot_wait_s=0)
    colony.hive()
    names = ("m", "n", "o")
    for name in names[1:]:
        shelf.put(name, {"a": b"a"})
    for number, name in enumerate(names[:2], 1):
        colony.ask(Wanted(model=name, trusted=True))
        while colony.hives.spawns < number:
            await asyncio.sleep(0)
    with pytest.raises(NoPlacementError, match="all its processor threads are taken"):
        await soon(colony.ask(Wanted(model="o", trusted=True)))


async def test_where_every_disk_is_full_that_is_told(make) -> None:
    colony = make()
    colony.hive("a")
    colony.hives.full = {"a"}
    with pytest.raises(InsufficientDiskError, match="disk of a is full"):
        await soon(colony.ask())
    assert colony.hives.downloads == [("a", "shelf:m")]


async def test_what_would_not_fit_is_refused_before_gigabytes_are_fetched(make, clock) -> None:
    with Hub() as hub:
        vendor = RemoteVendor(hub)
        vendor.put("o/m", {"m.gguf": gguf_bytes(padding=1 << 20)})
        colony = make(vendor)
        colony.hive(formats=("gguf",), ram_mb=100)
        with pytest.raises(NoPlacementError, match="'o/m' cannot be placed"):
            await soon(colony.ask(Wanted(model="o/m", trusted=True)))
        assert colony.hives.downloads == []
        colony.hive(formats=("gguf",), ram_mb=4096)
        colony.hives.spawned = lambda: colony.beat("w", model="remote:o/m")
        colony.hives.go.set()
        assert (await soon(colony.ask(Wanted(model="o/m", trusted=True)))).worker_id == "w"
