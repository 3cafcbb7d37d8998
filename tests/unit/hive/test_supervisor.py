"""One process for one id, whoever asks and however often."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest
from rbee.contract.errors import (
    CancelledByCallerError,
    ConflictError,
    InsufficientMemoryError,
    NoPlacementError,
    WorkerFailedError,
)
from rbee.contract.types import Device, DeviceType, LoadSpec, ModelVariant, WorkerState
from rbee.contract.worker_args import LoadReport, WorkerArgs
from rbee.hive import launching
from rbee.hive import spawn as spawning
from rbee.hive import supervisor as module
from rbee.hive.budgets import Budgets
from rbee.hive.children import Child, born, start_ticks, tags
from rbee.hive.memory_budget import MemoryBudget
from rbee.hive.process import ChildProcess
from rbee.hive.spawn import Spawned
from rbee.hive.supervisor import Supervisor
from rbee.hive.thread_budget import ThreadBudget
from rbee.settings import Folders, Settings

SPEC = LoadSpec(
    model_id="m",
    model_path=None,
    variant=ModelVariant(model_id="m", name="m", vendor="v", format="f"),
    slots=1,
    memory_bytes=40,
)


class Nursery:
    """Starts processes that do nothing, and reports for them when told."""

    def __init__(self) -> None:
        self.reports: list[asyncio.StreamReader] = []
        self.processes: list[ChildProcess] = []
        self.pythons: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def spawn(self, args, sock, environment, log, python) -> Spawned:
        sock.close()
        self.pythons.append(python)
        await self.gate.wait()
        with log.open("ab") as output:
            process = ChildProcess.start([sys.executable, "-c", "import time; time.sleep(600)"], environment, output)
        self.processes.append(process)
        self.reports.append(asyncio.StreamReader())
        return Spawned(process=process, report=self.reports[-1], log=log)

    def say(self, **fields) -> None:
        self.reports[-1].feed_data(msgspec.json.encode(LoadReport(**fields)) + b"\n")


@pytest.fixture
async def nursery(monkeypatch) -> AsyncIterator[Nursery]:
    made = Nursery()
    monkeypatch.setattr(launching, "spawn", made.spawn)
    monkeypatch.setattr(module.cgroups.Groups, "enter", lambda *_: None)
    yield made
    for process in made.processes:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        await process.wait()


@pytest.fixture
def budget() -> Budgets:
    device = Device(id="CPU-0", name="c", device_type=DeviceType.CPU, memory_bytes=100)
    return Budgets(ThreadBudget(4), MemoryBudget(lambda: [device], lambda: None))


@pytest.fixture
def gone() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, budget: Budgets, gone: list[str]) -> Supervisor:
    return make(tmp_path, budget, gone)


def make(home: Path, budget: Budgets, gone: list[str]) -> Supervisor:
    folders = Folders.locate({"RBEE_HOME": str(home)})
    folders.logs.mkdir(parents=True, exist_ok=True)
    return Supervisor(Settings(), folders, "hive", budget, lambda child, crashed: gone.append(child.worker_id), {})


def ask(supervisor: Supervisor, spec: LoadSpec = SPEC) -> asyncio.Task:
    return asyncio.create_task(supervisor.ensure_ready("e", spec, "w1", lambda _: None))


def promised(budget: Budgets) -> int:
    (device,) = budget.memory()
    return device.granted_bytes


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
    supervisor: Supervisor, nursery: Nursery, budget: Budgets
) -> None:
    both = [ask(supervisor), ask(supervisor)]
    await until(lambda: nursery.reports)
    nursery.say(code="NO_PLACEMENT", message="too big")
    for task in both:
        with pytest.raises(NoPlacementError, match="too big"):
            await task
    assert (supervisor.children(), budget.threads.free, promised(budget)) == ([], 4, 0)
    again = ask(supervisor)
    await until(lambda: len(nursery.reports) == 2)
    nursery.say(ready=True)
    await again
    await supervisor.stop_all()


async def test_an_id_stays_taken_until_what_a_failed_start_left_behind_is_gone(
    supervisor: Supervisor, nursery: Nursery, budget: Budgets, gone: list[str], monkeypatch
) -> None:
    cleared = threading.Event()
    monkeypatch.setattr(module, "end_leftovers", lambda *_: cleared.wait(20))
    for patience in ("_KILL_AFTER_S", "_DEATH_S"):
        monkeypatch.setattr(module, patience, 0.05)
    first = ask(supervisor)
    await until(lambda: nursery.reports)
    nursery.say(code="NO_PLACEMENT", message="too big")
    with pytest.raises(NoPlacementError):
        await first
    # A second process of that id would be taken for what the first one has left, and killed.
    with pytest.raises(NoPlacementError):
        async with asyncio.timeout(20):
            await ask(supervisor)
    assert len(nursery.processes) == 1
    cleared.set()
    await until(lambda: gone)
    assert (supervisor.children(), budget.threads.free, promised(budget)) == ([], 4, 0)
    again = ask(supervisor)
    await until(lambda: len(nursery.reports) == 2)
    nursery.say(ready=True)
    await again
    await supervisor.stop_all()


async def test_who_started_it_and_gives_up_ends_it_for_who_waits_along(
    supervisor: Supervisor, nursery: Nursery, budget: Budgets
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
    assert (supervisor.children(), budget.threads.free, promised(budget)) == ([], 4, 0)


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


async def test_the_hive_tells_where_a_worker_is_in_its_life(supervisor: Supervisor, nursery: Nursery) -> None:
    stages: list[str] = []
    asked = asyncio.create_task(supervisor.ensure_ready("e", SPEC, "w1", stages.append))
    await until(lambda: supervisor.states() == {"w1": WorkerState.STARTING})
    nursery.say(stage="opening")
    await until(lambda: supervisor.states() == {"w1": WorkerState.LOADING})
    nursery.say(ready=True)
    await asked
    assert supervisor.states() == {"w1": WorkerState.READY}
    # Frozen, it cannot act on the signal at once.
    os.kill(nursery.processes[0].pid, signal.SIGSTOP)
    await until(lambda: psutil.Process(nursery.processes[0].pid).status() == psutil.STATUS_STOPPED)
    stopping = asyncio.create_task(supervisor.stop("w1"))
    await until(lambda: supervisor.states() == {"w1": WorkerState.STOPPING})
    os.kill(nursery.processes[0].pid, signal.SIGCONT)
    await stopping
    assert supervisor.states() == {}
    assert stages == ["opening"]


async def test_workers_that_are_released_live_on_and_those_still_starting_do_not(
    supervisor: Supervisor, nursery: Nursery, gone: list[str]
) -> None:
    first = ask(supervisor)
    await until(lambda: nursery.reports)
    nursery.say(ready=True)
    child = await first
    starting = asyncio.create_task(supervisor.ensure_ready("e", SPEC, "w2", lambda _: None))
    await until(lambda: len(nursery.reports) == 2)
    await until(lambda: len(supervisor.children()) == 2)
    left = asyncio.create_task(supervisor.release_all())
    await until(lambda: nursery.processes[1].returncode is not None)
    nursery.reports[1].feed_eof()
    assert await left == [child]
    with pytest.raises(WorkerFailedError):
        await starting
    assert (supervisor.children(), supervisor.states()) == ([], {})
    assert nursery.processes[0].returncode is None
    assert nursery.processes[1].returncode == -signal.SIGKILL
    assert psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE
    supervisor.kill_all()
    await supervisor.stop_all()
    assert nursery.processes[0].returncode is None, "it is nobody's any more"
    assert gone == ["w2"]


async def test_what_does_not_fit_is_refused_before_a_process_is_started(
    supervisor: Supervisor, nursery: Nursery, budget: Budgets
) -> None:
    first = ask(supervisor)
    await until(lambda: nursery.reports)
    larger = msgspec.structs.replace(SPEC, memory_bytes=61)
    with pytest.raises(InsufficientMemoryError, match=r"'m' needs about .* of CPU-0.*rbee worker stop w1"):
        await supervisor.ensure_ready("e", larger, "w2", lambda _: None)
    assert len(nursery.processes) == 1
    assert (budget.threads.free, promised(budget)) == (2, 40)
    nursery.say(ready=True)
    child = await first
    assert (child.device, child.memory_bytes) == ("CPU-0", 40)
    await supervisor.stop_all()
    assert (budget.threads.free, promised(budget)) == (4, 0)


@pytest.mark.parametrize("steps", range(6))
async def test_a_start_that_is_cancelled_at_any_step_gives_everything_back(
    supervisor: Supervisor, nursery: Nursery, budget: Budgets, steps: int
) -> None:
    nursery.gate.clear()
    start = ask(supervisor)
    for _ in range(steps):
        await asyncio.sleep(0)
    if steps > 3:
        nursery.gate.set()
        await until(lambda: nursery.reports)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    await until(lambda: not supervisor.children())
    assert (budget.threads.free, promised(budget)) == (4, 0)


# A worker as the hive of an earlier life left it: tagged, and answering where its tag says.
WORKER = """
import http.server, json, sys
port, gate = int(sys.argv[1]), sys.argv[2]
class Worker(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        import os
        drains = os.path.exists(gate + "-drains")
        ready = os.path.exists(gate) and not drains
        code = 200 if ready or self.path == "/health" else 503
        state = "draining" if drains else "ready" if ready else "loading"
        body = {"status": "ok", "state": state} if code == 200 else {
            "error": {"code": "WORKER_NOT_READY", "message": "loading"}}
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Worker)
print("up", flush=True)
server.serve_forever()
"""


class Left:
    """A process that an earlier life of a hive left running."""

    def __init__(self, home: Path, gate: Path, worker_id: str = "w1", root: Path | None = None) -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]
        state = root or Folders.locate({"RBEE_HOME": str(home)}).state
        self.it = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(self.port), str(gate), f"--worker-id={worker_id}"],
            env={**os.environ, **tags(state, worker_id, self.port, 3, "m", "CPU-0", 60)},
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.it.stdout.readline() == b"up\n"

    def end(self) -> None:
        self.it.kill()
        self.it.wait()
        self.it.stdout.close()


@pytest.fixture
def left(tmp_path: Path) -> Iterator[Callable[..., Left]]:
    made: list[Left] = []

    def start(**facts) -> Left:
        made.append(Left(tmp_path, tmp_path / "gate", **facts))
        return made[-1]

    yield start
    for one in made:
        one.end()


async def test_a_worker_of_an_earlier_life_is_found_asked_and_waited_for(
    tmp_path: Path, budget: Budgets, gone: list[str], left
) -> None:
    worker = left()
    supervisor = make(tmp_path, budget, gone)
    (child,) = supervisor.adopt()
    assert (child.pid, child.port, child.worker_id) == (worker.it.pid, worker.port, "w1")
    assert (budget.threads.free, promised(budget)) == (1, 60), "it keeps its share"
    assert supervisor.adopt() == [], "once"
    await until(lambda: supervisor.states() == {"w1": WorkerState.LOADING})
    asked = ask(supervisor)
    (tmp_path / "gate").touch()
    assert await asked == child
    assert supervisor.states() == {"w1": WorkerState.READY}
    with pytest.raises(ConflictError):
        await ask(supervisor, msgspec.structs.replace(SPEC, model_id="other"))
    await asyncio.gather(supervisor.stop("w1"), asyncio.to_thread(worker.it.wait, 20))
    assert worker.it.returncode == -signal.SIGTERM
    await until(lambda: gone == ["w1"])
    assert (supervisor.children(), supervisor.states(), budget.threads.free, promised(budget)) == ([], {}, 4, 0)


async def test_an_adopted_worker_that_ends_while_it_loads_fails_for_who_waits(
    tmp_path: Path, budget: Budgets, gone: list[str], left
) -> None:
    worker = left()
    supervisor = make(tmp_path, budget, gone)
    supervisor.adopt()
    asked = ask(supervisor)
    await until(lambda: supervisor.states() == {"w1": WorkerState.LOADING})
    worker.end()
    with pytest.raises(WorkerFailedError, match="'w1' ended before it served"):
        await asked
    await until(lambda: gone == ["w1"])


async def test_an_adopted_worker_that_drains_is_told_at_once_until_it_serves_again(
    tmp_path: Path, budget: Budgets, gone: list[str], left
) -> None:
    left()
    draining = tmp_path / "gate-drains"
    draining.touch()
    (tmp_path / "gate").touch()
    supervisor = make(tmp_path, budget, gone)
    (child,) = supervisor.adopt()
    async with asyncio.timeout(10):
        with pytest.raises(ConflictError, match=r"'w1' is there and draining.* rbee worker drain w1 --undo"):
            await ask(supervisor)
        assert supervisor.states() == {"w1": WorkerState.DRAINING}
        draining.unlink()
        assert await ask(supervisor) == child
    await until(lambda: supervisor.states() == {"w1": WorkerState.READY})
    draining.touch()
    with pytest.raises(ConflictError, match="--undo"):
        await ask(supervisor)


async def test_who_waits_for_an_adopted_worker_that_loads_is_told_when_it_drains_then(
    tmp_path: Path, budget: Budgets, gone: list[str], left
) -> None:
    left()
    supervisor = make(tmp_path, budget, gone)
    supervisor.adopt()
    asked = ask(supervisor)
    await until(lambda: supervisor.states() == {"w1": WorkerState.LOADING})
    (tmp_path / "gate-drains").touch()
    with pytest.raises(ConflictError, match="--undo"):
        await asyncio.wait_for(asked, 10)


async def test_an_adopted_worker_that_does_not_answer_has_no_known_state(
    tmp_path: Path, budget: Budgets, gone: list[str], left
) -> None:
    worker = left()
    supervisor = make(tmp_path, budget, gone)
    os.kill(worker.it.pid, signal.SIGSTOP)
    (child,) = supervisor.adopt()
    assert supervisor.states() == {}
    assert await supervisor.release_all() == [child], "it may be thawed by whoever froze it"
    assert worker.it.poll() is None


async def test_processes_of_another_hive_are_neither_found_nor_signalled(
    tmp_path: Path, budget: Budgets, gone: list[str], left
) -> None:
    foreign = left(root=tmp_path / "elsewhere")
    supervisor = make(tmp_path, budget, gone)
    assert supervisor.adopt() == []
    await supervisor.stop_all()
    supervisor.kill_all()
    assert foreign.it.poll() is None


async def test_a_stranger_under_a_recorded_pid_is_not_signalled(
    tmp_path: Path, budget: Budgets, gone: list[str], left, monkeypatch, caplog
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:  # noqa: ASYNC220
        recorded = Child(
            worker_id="w1", pid=stranger.pid, created=born(stranger.pid), port=1, threads=1, model_id="m",
            ticks=start_ticks(stranger.pid),
        )  # fmt: skip
        monkeypatch.setattr(module, "find", lambda _: iter([recorded]))
        supervisor = make(tmp_path, budget, gone)
        assert supervisor.adopt() == [recorded]
        supervisor.kill_all()
        assert f"Process {stranger.pid} is not worker 'w1' of this hive; it was not signalled" in caplog.text
        assert stranger.poll() is None
        await supervisor.release_all()
        stranger.communicate()
        assert stranger.returncode == 1, "its input ended, and nothing else did it"


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


async def test_a_worker_that_does_not_even_end_when_it_is_killed_is_an_error_with_its_process(
    supervisor: Supervisor, nursery: Nursery, monkeypatch
) -> None:
    asked = ask(supervisor)
    await until(lambda: nursery.reports)
    nursery.say(ready=True)
    child = await asked
    for patience in ("_KILL_AFTER_S", "_DEATH_S"):
        monkeypatch.setattr(module, patience, 0.05)

    def refuse(*_: object) -> None:
        raise PermissionError("not yours")

    with monkeypatch.context() as patched:
        patched.setattr(module, "signal_own", refuse)
        for stop in (supervisor.stop("w1", at_once=True), supervisor.stop_all()):
            with pytest.raises(WorkerFailedError, match=rf"'w1' \(process {child.pid}\) does not end.* restart the"):
                await stop
    assert supervisor.children() == [child]
    monkeypatch.undo()
    await supervisor.stop("w1", at_once=True)
    assert supervisor.children() == []


async def test_why_a_start_failed_is_told_also_when_its_process_does_not_end(
    supervisor: Supervisor, nursery: Nursery, monkeypatch, caplog
) -> None:
    for patience in ("_KILL_AFTER_S", "_DEATH_S"):
        monkeypatch.setattr(module, patience, 0.05)
    asked = ask(supervisor)
    await until(lambda: nursery.reports)

    def refuse(*_: object) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(module, "signal_own", refuse)
    nursery.say(code="NO_PLACEMENT", message="too big")
    with pytest.raises(NoPlacementError, match="too big"):
        await asked
    assert "does not end" in caplog.text


async def test_a_worker_whose_start_is_broken_off_at_its_pipe_does_not_live_on(tmp_path: Path, monkeypatch) -> None:
    started: list[int] = []
    others = {child.pid for child in psutil.Process().children()}

    async def never(*_: object) -> None:
        started.extend(child.pid for child in psutil.Process().children() if child.pid not in others)
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "connect_read_pipe", never)
    args = WorkerArgs(worker_id="w", model="m")
    sock = spawning.free_socket("127.0.0.1", 18080, 18200)
    starting = asyncio.create_task(spawning.spawn(args, sock, dict(os.environ), tmp_path / "log"))
    await until(lambda: started)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not any(psutil.pid_exists(pid) for pid in started)


async def test_an_engine_is_started_with_the_interpreter_that_it_needs(
    supervisor: Supervisor, nursery: Nursery
) -> None:
    supervisor.use_pythons({"e": "/engines/e/bin/python"})
    wanted = ask(supervisor)
    await until(lambda: nursery.reports)
    nursery.say(ready=True)
    await wanted
    other = asyncio.create_task(supervisor.ensure_ready("other", SPEC, "w2", lambda _: None))
    await until(lambda: len(nursery.reports) == 2)
    nursery.say(ready=True)
    await other
    assert nursery.pythons == ["/engines/e/bin/python", sys.executable]
    await supervisor.stop_all()
