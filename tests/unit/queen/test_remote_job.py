"""A job on a hive over a line that breaks: a real job runner behind real sockets, and a cable that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rbee.clients import Credentials
from rbee.contract.errors import UnreachableError
from rbee.contract.wire import JobEvent
from rbee.http.app import build
from rbee.http.front import Front
from rbee.http.guard import Guard
from rbee.http.jobs import JOB_ROUTES
from rbee.jobs import JobRunner, JobStore, Narrator, Operation
from rbee.queen.hives import Hives
from rbee.settings import Settings
from rbee.telemetry import Limits, TelemetryRegistry
from unit.programs import TOKEN, Program, Programs

PATIENCE_S = 20.0

# Said of every handler of ours; the pinned Litestar still does what it says will change.
pytestmark = pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")


class Machine:
    """What a hive is for a job: a runner with its routes.  Its one operation goes on when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.step = asyncio.Semaphore(0)
        self.cancelled = asyncio.Event()
        self.jobs = JobRunner(JobStore.at(folder / "jobs.db"), {"work": Operation(handler=self.work)})

    async def start(self) -> None:
        await self.jobs.start()

    async def stop(self) -> None:
        await self.jobs.stop()

    async def work(self, _body: dict[str, Any], say: Narrator) -> dict[str, int]:
        try:
            for number in range(4):
                say.say("hive", "step", f"step {number}")
                await self.step.acquire()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return {"steps": 4}


class Cable:
    """Carries bytes to a port until it is cut."""

    def __init__(self, port: int) -> None:
        self._far = port
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self.port = 0

    async def plug(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._far)
        self._writers += [writer, far_writer]
        await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


class Desk:
    def __init__(self, machine: Machine, cable: Cable, hives: Hives) -> None:
        self.machine = machine
        self.cable = cable
        self.hives = hives
        self.told: list[JobEvent] = []

    def run(self, *, patient: bool) -> asyncio.Task[dict[str, Any]]:
        return asyncio.create_task(self.hives.run("h", "work", {}, self.tell, patient=patient))

    def tell(self, event: JobEvent) -> None:
        self.told.append(event)

    async def heard(self, words: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not any(event.human == words for event in self.told):
                await asyncio.sleep(0.01)


@pytest.fixture
async def desk(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    programs = Programs(tmp_path, Settings())
    machine = Machine(tmp_path)
    guard = Guard(token=TOKEN, host="127.0.0.1")
    program = await programs.add(Program(lambda _url: machine, lambda one: Front(build(JOB_ROUTES, one), guard)))
    cable = Cable(program.port)
    await cable.plug()
    loop = asyncio.get_running_loop()
    telemetry = TelemetryRegistry(loop.time, Limits(hive_down_s=getattr(request, "param", 10.0)))
    telemetry.update_hive("h", f"http://127.0.0.1:{cable.port}")
    yield Desk(machine, cable, Hives(telemetry, Credentials(TOKEN), grace_s=0.0))
    await cable.cut()
    await programs.close()


async def test_a_job_whose_line_breaks_and_heals_is_followed_to_its_end(desk: Desk) -> None:
    running = desk.run(patient=True)
    await desk.heard("step 0")
    await desk.cable.cut()
    await desk.heard("The line to hive h broke; its job goes on there and is taken up again")
    desk.machine.step.release()
    await desk.cable.plug()
    for _ in range(3):
        desk.machine.step.release()
    async with asyncio.timeout(PATIENCE_S):
        assert await running == {"steps": 4}
    steps = [event.human for event in desk.told if event.action == "step"]
    assert steps == ["step 0", "step 1", "step 2", "step 3"]


@pytest.mark.parametrize("desk", [0.3], indirect=True)
async def test_a_line_that_stays_broken_is_given_up(desk: Desk) -> None:
    running = desk.run(patient=True)
    await desk.heard("step 0")
    await desk.cable.cut()
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(UnreachableError):
            await running


async def test_a_request_that_waits_hears_of_a_broken_line_at_once(desk: Desk) -> None:
    running = desk.run(patient=False)
    await desk.heard("step 0")
    await desk.cable.cut()
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(UnreachableError):
            await running
    assert [event.action for event in desk.told] == ["step"]


async def test_a_job_that_is_cancelled_while_its_line_is_down_is_cancelled_there_once_it_is_up(desk: Desk) -> None:
    running = desk.run(patient=True)
    await desk.heard("step 0")
    await desk.cable.cut()
    await desk.heard("The line to hive h broke; its job goes on there and is taken up again")
    await desk.cable.plug()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    async with asyncio.timeout(PATIENCE_S):
        await desk.machine.cancelled.wait()
