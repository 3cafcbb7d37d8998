"""One process for one id, whoever asks and however often."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import psutil
import pytest
from rbee.contract.errors import CancelledByCallerError, ConflictError, NoPlacementError
from rbee.contract.types import LoadSpec, ModelVariant
from rbee.contract.worker_args import LoadReport
from rbee.hive import spawn as spawning
from rbee.hive import supervisor as module
from rbee.hive.budget import ThreadBudget
from rbee.hive.spawn import Spawned
from rbee.hive.supervisor import Supervisor
from rbee.settings import Folders, Settings

SPEC = LoadSpec(
    model_id="m", model_path=None, variant=ModelVariant(model_id="m", name="m", vendor="v", format="f"), slots=1
)


class Nursery:
    """Starts processes that do nothing, and reports for them when told."""

    def __init__(self) -> None:
        self.reports: list[asyncio.StreamReader] = []
        self.processes: list[asyncio.subprocess.Process] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def spawn(self, args, sock, environment, log) -> Spawned:
        sock.close()
        await self.gate.wait()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        self.processes.append(process)
        self.reports.append(asyncio.StreamReader())
        return Spawned(process=process, report=self.reports[-1], log=log)

    def say(self, **fields) -> None:
        self.reports[-1].feed_data(msgspec.json.encode(LoadReport(**fields)) + b"\n")


@pytest.fixture
async def nursery(monkeypatch) -> AsyncIterator[Nursery]:
    made = Nursery()
    monkeypatch.setattr(module, "spawn", made.spawn)
    monkeypatch.setattr(module.cgroups, "enter", lambda *_: None)
    yield made
    for process in made.processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        process.stdin.close()


@pytest.fixture
def budget() -> ThreadBudget:
    return ThreadBudget(4)


@pytest.fixture
def gone() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, budget: ThreadBudget, gone: list[str]) -> Supervisor:
    folders = Folders.locate({"RBEE_HOME": str(tmp_path)})
    return Supervisor(Settings(), folders, "hive", budget, gone.append, {})


def ask(supervisor: Supervisor, spec: LoadSpec = SPEC) -> asyncio.Task:
    return asyncio.create_task(supervisor.ensure_ready("e", spec, "w1", lambda _: None))


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_two_who_ask_for_one_id_get_one_process_when_it_is_ready(
    supervisor: Supervisor, nursery: Nursery
) -> None:
    nursery.gate.clear()
    both = [ask(supervisor), ask(supervisor)]
    await asyncio.sleep(0)
    nursery.gate.set()
    await until(lambda: nursery.reports)
    late = ask(supervisor)
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in (*both, late))
    nursery.say(ready=True)
    children = await asyncio.gather(*both, late)
    assert len(nursery.processes) == 1
    assert {child.pid for child in children} == {nursery.processes[0].pid}
    assert await ask(supervisor) == children[0], "and at once when it is ready"
    await supervisor.stop_all()


async def test_a_start_that_fails_fails_for_all_and_leaves_the_id_free(
    supervisor: Supervisor, nursery: Nursery, budget: ThreadBudget
) -> None:
    both = [ask(supervisor), ask(supervisor)]
    await until(lambda: nursery.reports)
    nursery.say(code="NO_PLACEMENT", message="too big")
    for task in both:
        with pytest.raises(NoPlacementError, match="too big"):
            await task
    assert (supervisor.children(), budget.free) == ([], 4)
    again = ask(supervisor)
    await until(lambda: len(nursery.reports) == 2)
    nursery.say(ready=True)
    await again
    await supervisor.stop_all()


async def test_who_started_it_and_gives_up_ends_it_for_who_waits_along(
    supervisor: Supervisor, nursery: Nursery, budget: ThreadBudget
) -> None:
    first, second, third = ask(supervisor), ask(supervisor), ask(supervisor)
    await until(lambda: nursery.reports)
    third.cancel()
    await asyncio.sleep(0.05)
    assert not first.done(), "one who waits along may leave"
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    with pytest.raises(CancelledByCallerError):
        await second
    assert nursery.processes[0].returncode == -signal.SIGKILL
    assert (supervisor.children(), budget.free) == ([], 4)


async def test_an_id_with_another_model_is_taken(supervisor: Supervisor, nursery: Nursery) -> None:
    first = ask(supervisor)
    await asyncio.sleep(0)
    with pytest.raises(ConflictError, match="'w1'"):
        await ask(supervisor, msgspec.structs.replace(SPEC, model_id="other"))
    first.cancel()
    await asyncio.wait([first])


async def test_an_id_is_free_again_after_the_end_of_its_process(
    supervisor: Supervisor, nursery: Nursery, gone: list[str]
) -> None:
    for _ in range(2):
        count = len(nursery.reports)
        asked = ask(supervisor)
        await until(lambda before=count: len(nursery.reports) > before)
        nursery.say(ready=True)
        child = await asked
        os.kill(child.pid, signal.SIGKILL)
        await until(lambda: not supervisor.children())
    assert gone == ["w1", "w1"]


async def test_a_signal_that_the_system_refuses_is_said(
    supervisor: Supervisor, nursery: Nursery, monkeypatch, caplog
) -> None:
    asked = ask(supervisor)
    await until(lambda: nursery.reports)
    nursery.say(ready=True)
    await asked

    def refuse(*_: object) -> None:
        raise PermissionError("not yours")

    with monkeypatch.context() as patched:
        patched.setattr(module, "signal_own", refuse)
        supervisor.kill_all()
    assert "not yours" in caplog.text
    await supervisor.stop("w1", at_once=True)
    assert nursery.processes[0].returncode == -signal.SIGKILL


async def test_a_worker_whose_start_is_broken_off_at_its_pipe_does_not_live_on(tmp_path: Path, monkeypatch) -> None:
    started: list[int] = []

    async def never(*_: object) -> None:
        started.extend(child.pid for child in psutil.Process().children())
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "connect_read_pipe", never)
    args = module.WorkerArgs(worker_id="w", model="m")
    sock = spawning.free_socket("127.0.0.1", 18080, 18200)
    starting = asyncio.create_task(spawning.spawn(args, sock, dict(os.environ), tmp_path / "log"))
    await until(lambda: started)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not any(psutil.pid_exists(pid) for pid in started)
