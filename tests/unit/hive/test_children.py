"""Children, told from strangers by their tags."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from rbee.contract.errors import NotFoundError
from rbee.hive.children import find, identify, is_alive, send_signal, tags

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
    for changed in ({"created": child.created - 1}, {"worker_id": "w2"}):
        with pytest.raises(NotFoundError):
            send_signal(msgspec.structs.replace(child, **changed), signal.SIGKILL, tmp_path)
    assert process.poll() is None
