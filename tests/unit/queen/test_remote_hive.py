"""Stopping a hive on another machine: its requests end first, and what is broken off leaves it as it was."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest
from rbee.beehives import Beehive
from rbee.contract.errors import UnreachableError
from rbee.contract.wire import HiveDrain
from rbee.contract.wire.draining import WorkerDrain
from rbee.jobs import Narrator
from rbee.queen.remote_hive import AtWork
from rbee.remote.layout import find
from rbee.testing.local_host import LocalHost


class Hive:
    """One that is online and answers a request for ever; its drains and its keeper."""

    def __init__(self) -> None:
        self.draining = False
        self.asked = asyncio.Event()
        self.left = 1
        self.stopped = 0
        self.lost = False

    async def hive(self, hive_id: str, *, on: bool) -> HiveDrain:
        self.draining = on
        self.asked.set()
        worker = WorkerDrain(worker_id="w", state="draining", open_requests=self.left)
        return HiveDrain(hive_id=hive_id, operational_status="draining" if on else "ready", workers=(worker,))

    async def stop(self, timeout_s: float) -> None:
        if self.lost:
            raise UnreachableError("The line broke.")
        self.stopped += 1

    def get_hive_state(self, _hive_id: str) -> object:
        return SimpleNamespace(instance_id="i")

    def is_hive_online(self, _hive_id: str) -> bool:
        return True


@pytest.fixture
def hive() -> Hive:
    return Hive()


@pytest.fixture
async def work(hive: Hive, tmp_path: Path) -> AtWork:
    host = LocalHost(tmp_path / "box")
    say = Narrator("job", None, lambda _event: None)
    made = AtWork(Beehive(node_name="attic"), host, await find(host), hive, hive, say, "hive_stop")  # type: ignore[arg-type]
    made.keeper = hive  # type: ignore[assignment]  # all that is asked of it
    return made


async def test_a_stop_that_is_cancelled_while_requests_end_lets_it_take_requests_again(
    work: AtWork, hive: Hive
) -> None:
    stopping = asyncio.create_task(work.stop(30.0))
    await hive.asked.wait()
    assert hive.draining
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert (hive.draining, hive.stopped, work.touched) == (False, 0, False)


async def test_when_the_line_breaks_before_it_was_stopped_it_takes_requests_again(work: AtWork, hive: Hive) -> None:
    hive.left, hive.lost = 0, True
    with pytest.raises(UnreachableError):
        await work.stop(30.0)
    assert (hive.draining, work.touched) == (False, True)


async def test_one_without_open_requests_is_stopped_at_once(work: AtWork, hive: Hive) -> None:
    hive.left = 0
    await work.stop(30.0)
    assert (hive.draining, hive.stopped, work.touched) == (True, 1, True)


async def test_without_patience_nothing_is_waited_for(work: AtWork, hive: Hive) -> None:
    await work.stop(0)
    assert (hive.asked.is_set(), hive.stopped) == (False, 1)
