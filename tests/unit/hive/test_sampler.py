"""Figures of several probes, put together."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rbee.contract import Backend, Device, DeviceType, GpuStats, NodeSample, Probe, ProcessSample
from rbee.contract.types import WorkerState
from rbee.hive.children import Child, born, start_ticks
from rbee.hive.sampler import Sampler

CHILD = Child(worker_id="w", pid=7, created=1.0, port=8080, threads=1, model_id="m")


class Lamp(Probe):
    def __init__(self, name: str, node: NodeSample, processes: dict[int, ProcessSample], devices: Any = ()) -> None:
        self.name = name
        self._answers = (node, processes, devices)

    def devices(self) -> Any:
        return self._answers[2]

    def sample_node(self) -> NodeSample:
        return self._answers[0]

    def sample_processes(self, roots: Any) -> dict[int, ProcessSample]:
        return self._answers[1]


class Broken(Lamp):
    def __init__(self) -> None:
        super().__init__("broken", NodeSample(), {})

    def devices(self) -> Any:
        raise OSError("no driver")

    def sample_node(self) -> NodeSample:
        raise OSError("no driver")

    def sample_processes(self, roots: Any) -> dict[int, ProcessSample]:
        raise OSError("no driver")


HOST = Lamp("host", NodeSample(cpu_pct=5.0, ram_used_mb=9), {7: ProcessSample(cpu_pct=1.0, rss_mb=2, pids=(7, 8))})
CARD = Lamp("card", NodeSample(gpus=(GpuStats(id="GPU-0"),)), {7: ProcessSample(gpu="GPU-0", vram_mb=3, rss_mb=None)})
HERE = Child(
    worker_id="here", pid=os.getpid(), created=born(os.getpid()), port=8081, threads=1, model_id="m",
    ticks=start_ticks(os.getpid()),
)  # fmt: skip


class Stuck(Lamp):
    """Hangs in whatever it is asked first, until it is let go."""

    def __init__(self, devices: Any = ()) -> None:
        super().__init__("stuck", NodeSample(ram_total_mb=1), {}, devices)
        self.gate = threading.Event()
        self.asked = 0
        self.inside = 0
        self.most_inside = 0

    def _hang(self) -> None:
        self.asked += 1
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        self.gate.wait(60)
        self.inside -= 1

    def devices(self) -> Any:
        self._hang()
        return super().devices()

    def sample_node(self) -> NodeSample:
        self._hang()
        return super().sample_node()


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    probe = Stuck((Device(id="GPU-9", name="g", device_type=DeviceType.GPU, backend=Backend.CUDA),))
    yield probe
    probe.gate.set()


@pytest.fixture
def make() -> Iterator[Callable[..., Sampler]]:
    made: list[Sampler] = []

    def build(probes: list[Probe], observe: Callable[[Any], None] = lambda _: None, timeout_s: float = 20.0) -> Sampler:
        made.append(Sampler(probes, observe, timeout_s, timeout_s))
        return made[-1]

    yield build
    for sampler in made:
        sampler.close()


async def idle(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_each_probe_adds_what_it_knows_and_takes_nothing_away(make) -> None:
    seen: list[Any] = []
    node, (stats,) = await make([HOST, CARD], seen.append).sample([CHILD], {"w": WorkerState.LOADING})
    assert (node.cpu_pct, node.ram_used_mb, node.gpus[0].id) == (5.0, 9, "GPU-0")
    assert (stats.cpu_pct, stats.rss_mb, stats.vram_mb, stats.gpu) == (1.0, 2, 3, "GPU-0")
    assert (stats.worker_id, stats.pid, stats.port, stats.instance, stats.model) == ("w", 7, 8080, "8080", "m")
    assert (stats.pids, stats.state) == ((7, 8), "loading")
    assert stats.io_r_mb_s is None
    await idle(lambda: seen == [stats])


async def test_of_two_that_know_a_figure_the_first_counts_and_that_is_said_once(make, caplog) -> None:
    other = Lamp("other", NodeSample(cpu_pct=0.0, ram_total_mb=7), {7: ProcessSample(rss_mb=99, vram_mb=3)})
    sampler = make([HOST, other])
    for _ in range(3):
        node, (stats,) = await sampler.sample([CHILD], {})
        assert (node.cpu_pct, node.ram_used_mb, node.ram_total_mb) == (5.0, 9, 7)
        assert (stats.rss_mb, stats.vram_mb) == (2, 3)
    said = [record.message for record in caplog.records]
    assert said == [
        "probes 'host' and 'other' both tell cpu_pct of the machine; the first one's counts (said once)",
        "probes 'host' and 'other' both tell rss_mb of a worker; the first one's counts (said once)",
    ]


async def test_cards_of_several_makers_stand_side_by_side_and_nothing_is_said(make, caplog) -> None:
    another = Lamp("another", NodeSample(gpus=(GpuStats(id="GPU-1"),)), {})
    node, _ = await make([CARD, HOST, another]).sample([], {})
    assert [card.id for card in node.gpus] == ["GPU-0", "GPU-1"]
    assert caplog.records == []


async def test_a_broken_probe_is_said_once_and_costs_only_its_own_figures(make, caplog) -> None:
    sampler = make([Broken(), HOST])
    for _ in range(3):
        node, stats = await sampler.sample([CHILD], {})
    assert (node.cpu_pct, len(stats)) == (5.0, 1)
    assert await sampler.find_devices() == ()
    assert caplog.text.count("said once") == 3


async def test_a_worker_that_no_probe_saw_has_unknown_figures_while_it_lives(make) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:  # noqa: ASYNC220
        child = Child(
            worker_id="w", pid=process.pid, created=born(process.pid), port=1, threads=1, model_id="m",
            ticks=start_ticks(process.pid),
        )  # fmt: skip
        sampler = make([Broken()])
        (stats,) = (await sampler.sample([child], {}))[1]
        assert (stats.worker_id, stats.pid, stats.rss_mb, stats.cpu_pct, stats.state) == (
            "w", process.pid, None, None, None,
        )  # fmt: skip
        process.communicate()
        assert (await sampler.sample([child], {}))[1] == ()


async def test_the_processor_comes_first_among_devices(make) -> None:
    card = Device(id="GPU-0", name="g", device_type=DeviceType.GPU, backend=Backend.CUDA)
    cpu = Device(id="CPU-0", name="p", device_type=DeviceType.CPU)
    sampler = make([Lamp("a", NodeSample(), {}, (card,)), Lamp("b", NodeSample(), {}, (cpu,))])
    assert await sampler.find_devices() == (cpu, card) == sampler.devices


async def test_a_probe_that_hangs_holds_up_nobody_and_is_said_once(make, stuck, caplog) -> None:
    caplog.set_level("INFO")
    sampler = make([stuck, HOST, CARD], timeout_s=0.05)
    for _ in range(3):
        node, (stats,) = await sampler.sample([HERE], {})
        # The others may be late on a busy machine; what hangs is unknown in any case.
        assert node.ram_total_mb is None
        assert stats.worker_id == "here"
    assert stuck.asked == 1, "it is asked nothing while it has not returned"
    assert caplog.text.count("probe 'stuck' has not answered") == 1


async def test_a_probe_that_has_hung_is_asked_again_and_its_recovery_said(make, stuck, caplog) -> None:
    caplog.set_level("INFO")
    sampler = make([stuck], timeout_s=0.05)
    await sampler.sample([], {})
    assert "answers in time again" not in caplog.text
    stuck.gate.set()

    async with asyncio.timeout(20):
        while (await sampler.sample([], {}))[0].ram_total_mb is None:
            await asyncio.sleep(0.01)
    assert "probe 'stuck' answers in time again" in caplog.text


async def test_a_probe_is_never_in_two_calls_and_always_in_one_thread(make) -> None:
    threads: set[int] = set()

    class Watched(Stuck):
        def _hang(self) -> None:
            threads.add(threading.get_ident())
            super()._hang()

    probe, other = Watched(), Lamp("other", NodeSample(), {})
    probe.gate.set()
    sampler = make([probe, other])
    await asyncio.gather(sampler.find_devices(), *(sampler.sample([], {}) for _ in range(5)))
    await sampler.sample([], {})
    assert probe.most_inside == 1
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


async def test_devices_that_come_late_are_taken_when_they_come(make, stuck) -> None:
    sampler = make([stuck], timeout_s=0.05)
    assert await sampler.find_devices() == ()
    stuck.gate.set()
    await idle(lambda: [device.id for device in sampler.devices] == ["GPU-9"])


async def test_an_observer_that_hangs_holds_up_no_sample(make) -> None:
    gate, seen = threading.Event(), []

    def observe(stats: Any) -> None:
        seen.append(stats.worker_id)
        gate.wait(60)

    sampler = make([HOST], observe)
    try:
        for _ in range(3):
            assert len((await sampler.sample([CHILD], {}))[1]) == 1
            await idle(lambda: bool(seen))
        assert seen == ["w"]
    finally:
        gate.set()


def test_a_probe_that_never_returns_does_not_keep_the_program() -> None:
    code = """
import asyncio, time
from rbee.contract import NodeSample, Probe
from rbee.hive.sampler import Sampler
class Dead(Probe):
    name = "dead"
    def devices(self): return ()
    def sample_node(self): time.sleep(3600)
    def sample_processes(self, roots): return {}
async def main():
    sampler = Sampler([Dead()], lambda _: None, 0.05)
    await sampler.sample([], {})
    sampler.close()
    print("left")
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b"left\n"), done.stderr
