"""The worker's place in the colony, with a real host, queen and registry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rbee.clients import Credentials, Transport, WorkerClient
from rbee.clients.who import Who
from rbee.contract import (
    Availability,
    Backend,
    Capability,
    Endpoint,
    EngineStatus,
    LoadSpec,
    ModelVariant,
    ServedEngine,
)
from rbee.contract.errors import InvalidRequestError
from rbee.contract.wire import ColonyAddresses, InferRequest, Registration
from rbee.http.guard import Guard
from rbee.settings.model import RegistrySettings, Settings, WorkerSettings
from rbee.worker.app import make_app
from rbee.worker.beats import Beats
from rbee.worker.face import EngineFace, InferDelta
from rbee.worker.host import WorkerHost
from unit.programs import TOKEN, Program, Programs, until

# Said of every handler of ours; the pinned Litestar still does what it says will change.
pytestmark = pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")

BEAT = "POST /v1/worker-heartbeat"
SPEC = LoadSpec(
    model_id="m", model_path=None, variant=ModelVariant(model_id="m", name="m", vendor="v", format="f"), slots=1
)


class Quiet(ServedEngine):
    """Named, and no more: nothing of these tests reaches the engine."""

    name = "quiet"
    formats = frozenset({"f"})
    backends = frozenset({Backend.CPU})
    capabilities = frozenset({Capability.CHAT})

    @classmethod
    def availability(cls) -> Availability:
        return Availability(available=True, version="1")

    def start(self, spec: Any, report: Any) -> Endpoint:
        raise AssertionError("not asked for")

    def stop(self) -> None: ...

    def status(self) -> EngineStatus:
        raise AssertionError("not asked for")

    def alive(self) -> bool:
        return True


class Face(EngineFace):
    async def start(self, report: Any) -> int | None:
        return None

    async def stop(self) -> None: ...

    async def status(self) -> EngineStatus:
        return EngineStatus(slots_total=2, slots_busy=0)

    def alive(self) -> bool:
        return True

    async def openai(self, scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("not asked for")

    async def infer(self, request: InferRequest, request_id: str) -> AsyncGenerator[InferDelta]:
        raise AssertionError("not asked for")
        yield InferDelta()


class Worker:
    """A worker's service and its beats, with the methods of a program."""

    def __init__(self, url: str, settings: Settings, queen_url: str | None, registry_url: str | None) -> None:
        self.host = WorkerHost("w", Quiet, Face(), SPEC, url, None)
        self.beats = Beats(self.host, settings, Credentials(TOKEN), queen_url, registry_url, None)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.host.load(lambda stage: None)
        self._task = asyncio.create_task(self.beats.run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.beats.leave()


@pytest.fixture
async def programs(tmp_path: Path) -> AsyncIterator[Programs]:
    settings = Settings(
        worker=WorkerSettings(heartbeat_s=0.1), registry=RegistrySettings(heartbeat_s=0.5, online_s=2.0)
    )
    made = Programs(tmp_path, settings)
    yield made
    await made.close()


async def start(programs: Programs, queen_url: str | None = None, registry_url: str | None = None) -> Program:
    def app(service: Worker) -> Any:
        return make_app(service.host, Guard(token=TOKEN, host="127.0.0.1"), 1000)

    def make(url: str) -> Worker:
        return Worker(url, programs.settings, queen_url, registry_url)

    return await programs.add(Program(make, app))


def known(queen: Program) -> bool:
    entry = queen.service.telemetry.get_worker("w")
    return entry is not None and entry.implementation == "quiet"


async def test_a_queen_that_was_restarted_knows_the_worker_again(programs: Programs) -> None:
    queen = await programs.queen()
    await start(programs, queen.url)
    await until(lambda: known(queen))
    await programs.stop(queen)
    again = await programs.queen(port=queen.port)
    await until(lambda: known(again))
    assert again.asked[BEAT]


async def test_a_queen_at_another_address_is_beaten_there_at_once(programs: Programs) -> None:
    registry = await programs.registry()
    queen = await programs.queen(registry.url)
    await start(programs, registry_url=registry.url)
    await until(lambda: queen.asked[BEAT])
    await programs.stop(queen)
    again = await programs.queen(registry.url)
    await until(lambda: again.asked[BEAT] and known(again))


async def test_a_second_queen_whom_the_registry_names_is_believed_while_the_first_still_answers(
    programs: Programs,
) -> None:
    registry = await programs.registry()
    queen = await programs.queen(registry.url)
    await start(programs, registry_url=registry.url)
    await until(lambda: queen.asked[BEAT])
    other = await programs.queen(registry.url)
    await until(lambda: other.asked[BEAT])


async def test_a_registry_that_goes_away_and_comes_back_empty_makes_nobody_lose_anybody(programs: Programs) -> None:
    registry = await programs.registry()
    queen = await programs.queen()
    worker = await start(programs, registry_url=registry.url)
    worker.service.host.move(ColonyAddresses(queen_url=queen.url, registry_url=registry.url))
    await until(lambda: queen.asked[BEAT])
    await programs.stop(registry)
    beaten = queen.asked[BEAT]
    await until(lambda: queen.asked[BEAT] > beaten + 3)
    again = await programs.registry(registry.port)
    async with asyncio.timeout(20):
        while not await again.service.components("worker"):
            await asyncio.sleep(0.02)
    beaten = queen.asked[BEAT]
    await until(lambda: queen.asked[BEAT] > beaten + 3)
    assert len(queen.service.telemetry.list_all_workers()) == 1


async def test_a_worker_that_is_only_in_the_registry_is_asked_what_it_serves(programs: Programs) -> None:
    registry = await programs.registry()
    elsewhere = await programs.queen()
    worker = await start(programs, elsewhere.url, registry.url)
    await until(lambda: elsewhere.asked[BEAT])
    queen = await programs.queen(registry.url)
    await until(lambda: known(queen))
    entry = queen.service.telemetry.get_worker("w")
    assert (entry.model_id, entry.slots_total, entry.url) == ("m", 2, worker.url)
    assert (worker.asked["GET /info"], queen.asked[BEAT]) == (1, 0)


@pytest.mark.parametrize(
    ("queen_url", "registry_url", "told"),
    [
        ("http://q:1", "http://r:2", "the queen at http://q:1, the registry at http://r:2"),
        ("http://q:1", None, "the queen at http://q:1, no registry"),
        (None, "http://r:2", "the queen as the registry names her, the registry at http://r:2"),
        (None, None, "no queen is named, no registry"),
    ],
)
async def test_a_move_is_logged_in_words(
    programs: Programs,
    caplog: pytest.LogCaptureFixture,
    queen_url: str | None,
    registry_url: str | None,
    told: str,
) -> None:
    caplog.set_level("INFO", "rbee.worker.beats")
    worker = await start(programs)
    worker.service.host.move(ColonyAddresses(queen_url=queen_url, registry_url=registry_url))
    await until(lambda: f"the colony is elsewhere now: {told}" in caplog.messages)


async def test_a_moved_colony_without_a_registry_is_followed(programs: Programs) -> None:
    registry = await programs.registry()
    queen, other = await programs.queen(registry.url), await programs.queen()
    worker = await start(programs, registry_url=registry.url)
    await until(lambda: queen.asked[BEAT])
    worker.service.host.move(ColonyAddresses(queen_url=other.url, registry_url=None))
    await until(lambda: other.asked[BEAT])
    beaten = queen.asked[BEAT]
    heard = other.asked[BEAT]
    await until(lambda: other.asked[BEAT] > heard + 3)
    assert queen.asked[BEAT] == beaten


NO_PROCESS = 2**22 + 1
"""Above every number that Linux gives to a process."""


@pytest.fixture
async def orphan() -> AsyncIterator[Worker]:
    """A worker whose hive has ended, and which no queen hears."""
    settings = Settings(worker=WorkerSettings(heartbeat_s=0.1, orphan_s=0.2))
    worker = Worker("http://127.0.0.1:1", settings, None, None)
    worker.beats = Beats(worker.host, settings, Credentials(TOKEN), None, None, "h", NO_PROCESS)
    await worker.start()
    yield worker
    await worker.stop()


async def test_a_worker_without_hive_and_queen_is_an_orphan(orphan: Worker) -> None:
    async with asyncio.timeout(20):
        await orphan.beats.orphaned.wait()


async def test_a_worker_that_another_hive_has_found_is_an_orphan_only_when_that_one_ends(orphan: Worker) -> None:
    hive = await asyncio.create_subprocess_exec("sleep", "600")
    try:
        orphan.host.move(ColonyAddresses(hive_pid=hive.pid))
        # Long enough for an orphan to have been noticed.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await orphan.beats.orphaned.wait()
    finally:
        hive.kill()
    async with asyncio.timeout(20):
        await orphan.beats.orphaned.wait()
    await hive.wait()


async def test_a_worker_that_knows_of_no_queen_beats_the_one_who_was_told_of_it(programs: Programs) -> None:
    queen = await programs.queen()
    worker = await start(programs)
    queen.service.reports.register_worker(Registration(worker_id="w", url=worker.url, model="m", spawned_by="gui"))
    await until(lambda: queen.asked[BEAT] > 2)


async def test_a_queen_who_introduces_herself_to_a_worker_that_has_one_is_not_taken(programs: Programs) -> None:
    queen, other = await programs.queen(), await programs.queen()
    worker = await start(programs, queen.url)
    await until(lambda: queen.asked[BEAT])
    other.service.reports.register_worker(Registration(worker_id="w", url=worker.url, model="m", spawned_by="gui"))
    await until(lambda: worker.asked["GET /info"])
    heard = queen.asked[BEAT]
    await until(lambda: queen.asked[BEAT] > heard + 3)
    assert other.asked[BEAT] == 0


async def test_what_is_no_address_introduces_nobody(programs: Programs) -> None:
    worker = await start(programs)
    transport = Transport(worker.url, Credentials(TOKEN), Who("The worker"))
    with pytest.raises(InvalidRequestError, match="no queen's address"):
        await WorkerClient(transport).info("file:///etc/passwd")
    await transport.close()
