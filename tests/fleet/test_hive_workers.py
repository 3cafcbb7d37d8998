"""A hive and its real workers, without a queen: left running, found again, measured, limited."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import psutil
import pytest
from rbee.builtin import cgroup
from rbee.clients import Credentials
from rbee.contract.types import LoadSpec, ModelVariant
from rbee.contract.wire import ProcessStats
from rbee.hive.children import find
from rbee.hive.service import HiveService
from rbee.plugins import load_plugins
from rbee.settings import Folders, load_settings
from rbee.testing.colony import Colony

SPEC = LoadSpec(
    model_id="echo:left",
    model_path=None,
    variant=ModelVariant(model_id="echo:left", name="echo:left", vendor="echo", format="echo"),
    slots=1,
)

Life = Callable[..., HiveService]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    found = Folders.locate({"RBEE_HOME": str(tmp_path / "home")})
    found.make()
    return found


@pytest.fixture
async def life(tmp_path: Path, folders: Folders) -> AsyncIterator[Life]:
    """Makes one life of the hive after the other, all of one home; ends every worker at the end."""
    token = secrets.token_urlsafe(24)
    plugins = load_plugins("echo")
    own = {"RBEE_HIVE_THREADS": "4", "RBEE_HIVE_TELEMETRY_S": "0.2", "RBEE_HIVE_PROBE_TIMEOUT_S": "20"}

    def make(more: Mapping[str, str] | None = None) -> HiveService:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RBEE_", "COV_"))}
        environment = {**inherited, **own, **(more or {}), "RBEE_HOME": str(tmp_path / "home"), "RBEE_TOKEN": token}
        settings = load_settings(folders.config_file, environment).settings
        return HiveService(
            settings, folders, plugins, "http://127.0.0.1:9", Credentials(token), None, None, environment
        )

    yield make
    for child in find(folders.state):
        os.killpg(child.pid, signal.SIGKILL)
        psutil.Process(child.pid).wait(10)


async def told(hive: HiveService, wanted: Callable[[ProcessStats], bool]) -> ProcessStats:
    """The first sample of the one worker that is as wanted."""
    async with asyncio.timeout(30):
        async for beat in hive.beats():
            for one in beat.workers:
                if wanted(one):
                    return one
    raise AssertionError("the hive has stopped")


async def test_workers_left_by_an_orderly_stop_are_found_by_the_next_life(life: Life, folders: Folders) -> None:
    first = life()
    await first.start()
    child = await first.supervisor.ensure_ready("echo", SPEC, "w1", lambda _: None)
    before = await told(first, lambda one: one.state == "ready" and one.cpu_pct is not None)
    first.shut_down(keep_workers=True)
    await first.stop()
    assert psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE

    second = life()
    await second.start()
    after = await told(second, lambda one: one.state == "ready" and one.cpu_pct is not None)
    assert (after.worker_id, after.pid, after.port, after.model, after.cgroup) == (
        "w1",
        child.pid,
        child.port,
        "echo:left",
        before.cgroup,
    )
    assert after.pids[0] == child.pid
    assert after.rss_mb > 10
    assert second.info().threads_free == 4 - child.threads
    # The log goes on where it was: one process, one file.
    assert (folders.logs / "w1.log").stat().st_mode & 0o777 == 0o600
    await second.stop()
    assert not psutil.pid_exists(child.pid)


def test_after_kill_9_the_next_hive_reports_the_workers_it_finds(colony: Colony) -> None:
    worker_id = colony.run_job("worker_spawn", model="echo")["result"]["worker_id"]
    pid = colony.worker("echo")["pid"]
    colony.kill9()
    colony.start_up()
    with colony.http.stream("GET", f"{colony.hive_url}/v1/heartbeats/stream") as answer:
        samples = (json.loads(line[5:])["workers"] for line in answer.iter_lines() if line.startswith("data:"))
        found = next(one for workers in samples for one in workers if one["state"] == "ready")
    assert (found["worker_id"], found["pid"], found["pids"][0], found["model"]) == (worker_id, pid, pid, "echo:echo")


async def test_a_worker_runs_where_its_limits_cannot_be_set_and_the_log_says_why(life: Life, caplog) -> None:
    hive = life({"RBEE_HIVE_WORKER_MEMORY_MAX_MB": "4096", "RBEE_HIVE_WORKER_CPU_MAX": "1.5"})
    await hive.start()
    try:
        await hive.supervisor.ensure_ready("echo", SPEC, "w1", lambda _: None)
        stats = await told(hive, lambda one: one.state == "ready")
        root = cgroup.mount()
        for file, limit, setting in (
            ("memory.max", str(4096 << 20), "hive.worker_memory_max_mb"),
            ("cpu.max", "150000 100000", "hive.worker_cpu_max"),
        ):
            held = root is not None and stats.cgroup is not None and cgroup.read(root / stats.cgroup[1:] / file).strip()
            assert held == limit or f"{setting} is set, but workers run without it" in caplog.text
    finally:
        await hive.stop()
