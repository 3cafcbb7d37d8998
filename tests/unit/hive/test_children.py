"""Children, told from strangers by their tags."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest
from rbee.contract import DeviceShare
from rbee.contract.errors import NotFoundError
from rbee.hive.children import Child, find, identify, is_alive, send_signal, signal_own, start_ticks, tags
from rbee.hive.leftovers import end_leftovers
from rbee.testing.colony import eventually

Start = Callable[..., subprocess.Popen]


@pytest.fixture
def start() -> Iterator[Start]:
    started = []

    def run(environment: dict[str, str], *arguments: str) -> subprocess.Popen:
        code = "import sys; print('up', flush=True); sys.stdin.read()"
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        process.stdout.readline()
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_a_tagged_worker_is_known_with_all_its_facts(start: Start, tmp_path: Path) -> None:
    process = start(tags(tmp_path, "w1", 8080, 3, "shelf:m"), "--worker-id=w1")
    child = identify(process.pid, tmp_path)
    assert (child.worker_id, child.pid, child.port, child.threads, child.model_id) == (
        "w1",
        process.pid,
        8080,
        3,
        "shelf:m",
    )
    assert list(find(tmp_path)) == [child]
    assert is_alive(child)


def test_strangers_are_not_children(start: Start, tmp_path: Path) -> None:
    mine = tags(tmp_path, "w1", 8080, 3, "m")
    untagged = start({}, "--worker-id=w1")
    foreign = start(tags(tmp_path / "other", "w1", 8080, 3, "m"), "--worker-id=w1")
    helper = start(mine)
    odd = start(mine | {"RBEE_WORKER_PORT": "many"}, "--worker-id=w1")
    assert [identify(one.pid, tmp_path) for one in (untagged, foreign, helper, odd)] == [None] * 4
    assert identify(2**31 - 1, tmp_path) is None
    assert list(find(tmp_path)) == []


def test_a_signal_reaches_the_child_alone(start: Start, tmp_path: Path) -> None:
    process = start(tags(tmp_path, "w1", 1, 1, "m"), "--worker-id=w1")
    child = identify(process.pid, tmp_path)
    send_signal(child, signal.SIGTERM, tmp_path)
    assert process.wait(10) == -signal.SIGTERM
    assert not is_alive(child)
    with pytest.raises(NotFoundError, match="not signalled"):
        send_signal(child, signal.SIGKILL, tmp_path)


def test_a_process_with_a_pid_of_old_is_not_signalled(start: Start, tmp_path: Path) -> None:
    process = start(tags(tmp_path, "w1", 1, 1, "m"), "--worker-id=w1")
    child = identify(process.pid, tmp_path)
    for changed in ({"created": child.created - 60, "ticks": None}, {"ticks": 1}, {"worker_id": "w2"}):
        with pytest.raises(NotFoundError):
            send_signal(msgspec.structs.replace(child, **changed), signal.SIGKILL, tmp_path)
    assert process.poll() is None


def test_a_clock_that_was_set_makes_no_stranger_of_a_child(start: Start, tmp_path: Path) -> None:
    process = start(tags(tmp_path, "w1", 1, 1, "m"), "--worker-id=w1")
    child = identify(process.pid, tmp_path)
    moved = msgspec.structs.replace(child, created=child.created - (3600 if child.ticks is not None else 2))
    assert is_alive(moved)
    send_signal(moved, signal.SIGTERM, tmp_path)
    assert process.wait(10) == -signal.SIGTERM


def test_a_child_of_our_own_is_signalled_without_a_look_at_its_tags(start: Start, tmp_path: Path) -> None:
    process = start({})
    child = Child(
        worker_id="w1", pid=process.pid, created=0, port=1, threads=1, model_id="m", ticks=start_ticks(process.pid)
    )
    if child.ticks is not None:
        with pytest.raises(ProcessLookupError):
            signal_own(msgspec.structs.replace(child, ticks=child.ticks - 1), signal.SIGKILL)
    assert process.poll() is None
    signal_own(child, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize("inherits", ["session", "environment"])
def test_what_a_worker_leaves_behind_is_ended(start: Start, tmp_path: Path, inherits: str) -> None:
    code = (
        "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], "
        + ("env={}" if inherits == "session" else "start_new_session=True")
        + ", stdout=subprocess.DEVNULL); print(child.pid, flush=True); time.sleep(60)"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **tags(tmp_path, "w1", 1, 1, "m")},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    bystander = start(tags(tmp_path, "w2", 1, 1, "m"))
    engine = psutil.Process(int(worker.stdout.readline()))
    # Its starter goes on a moment before the system shows its environment.
    eventually(lambda: inherits == "session" or "RBEE_WORKER_ID" in engine.environ())
    child = Child(
        worker_id="w1", pid=worker.pid, created=0, port=1, threads=1, model_id="m", ticks=start_ticks(worker.pid)
    )
    # Not the group: the worker alone crashes.
    worker.kill()
    worker.communicate()
    assert end_leftovers(child, tmp_path) == 1
    assert not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE
    assert end_leftovers(child, tmp_path) == 0
    assert bystander.poll() is None


def test_the_session_of_a_stranger_with_a_pid_of_old_is_left_alone_where_the_system_tells_no_ticks(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = start({})
    born = psutil.Process(stranger.pid).create_time()
    child = Child(worker_id="w1", pid=stranger.pid, created=born - 3600, port=1, threads=1, model_id="m", ticks=None)
    monkeypatch.setattr("rbee.hive.leftovers.start_ticks", lambda _: None)
    assert end_leftovers(child, tmp_path) == 0
    assert stranger.poll() is None
    assert end_leftovers(msgspec.structs.replace(child, created=born), tmp_path) == 1
    assert not psutil.pid_exists(stranger.pid)


def test_a_worker_on_several_devices_is_found_again_with_its_share_of_each(start: Start, tmp_path: Path) -> None:
    shares = (DeviceShare(device="GPU-1", memory_bytes=30), DeviceShare(device="GPU-0", memory_bytes=12))
    process = start(tags(tmp_path, "w1", 8080, 3, "m", "GPU-1,GPU-0", 42, shares), "--worker-id=w1")
    child = identify(process.pid, tmp_path)
    assert child is not None
    assert (child.device, child.memory_bytes, child.shares) == ("GPU-1,GPU-0", 42, shares)
    unknown = start(tags(tmp_path, "w2", 8081, 3, "m", "GPU-0,GPU-1"), "--worker-id=w2")
    other = identify(unknown.pid, tmp_path)
    assert other is not None
    assert other.shares == (DeviceShare(device="GPU-0"), DeviceShare(device="GPU-1"))
    odd = tags(tmp_path, "w3", 8082, 3, "m", "GPU-0,GPU-1") | {"RBEE_WORKER_SHARES": "7"}
    assert identify(start(odd, "--worker-id=w3").pid, tmp_path) is None
