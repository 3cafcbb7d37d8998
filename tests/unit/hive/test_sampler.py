"""Figures of several probes, put together."""

from __future__ import annotations

from typing import Any

from rbee.contract import Backend, Device, DeviceType, GpuStats, NodeSample, Probe, ProcessSample
from rbee.hive.children import Child
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


HOST = Lamp("host", NodeSample(cpu_pct=5.0, ram_used_mb=9), {7: ProcessSample(cpu_pct=1.0, rss_mb=2)})
CARD = Lamp("card", NodeSample(gpus=(GpuStats(id="GPU-0"),)), {7: ProcessSample(gpu="GPU-0", vram_mb=3, rss_mb=None)})


def test_each_probe_adds_what_it_knows_and_takes_nothing_away() -> None:
    seen: list[Any] = []
    node, (stats,) = Sampler([HOST, CARD], seen.append).sample([CHILD])
    assert (node.cpu_pct, node.ram_used_mb, node.gpus[0].id) == (5.0, 9, "GPU-0")
    assert (stats.cpu_pct, stats.rss_mb, stats.vram_mb, stats.gpu) == (1.0, 2, 3, "GPU-0")
    assert (stats.worker_id, stats.pid, stats.port, stats.instance, stats.model) == ("w", 7, 8080, "8080", "m")
    assert stats.io_r_mb_s is None
    assert seen == [stats]


def test_of_two_that_know_a_figure_the_later_counts() -> None:
    other = Lamp("other", NodeSample(cpu_pct=0.0), {})
    assert Sampler([HOST, other], lambda _: None).sample([])[0].cpu_pct == 0.0


def test_a_broken_probe_is_said_once_and_costs_only_its_own_figures(caplog) -> None:
    sampler = Sampler([Broken(), HOST], lambda _: None)
    for _ in range(3):
        node, stats = sampler.sample([CHILD])
    assert (node.cpu_pct, len(stats)) == (5.0, 1)
    assert sampler.devices() == ()
    assert caplog.text.count("said once") == 3


def test_a_worker_that_no_probe_saw_is_left_out() -> None:
    assert Sampler([Broken()], lambda _: None).sample([CHILD])[1] == ()


def test_the_processor_comes_first_among_devices() -> None:
    card = Device(id="GPU-0", name="g", device_type=DeviceType.GPU, backend=Backend.CUDA)
    cpu = Device(id="CPU-0", name="p", device_type=DeviceType.CPU)
    lamps = [Lamp("a", NodeSample(), {}, (card,)), Lamp("b", NodeSample(), {}, (cpu,))]
    assert Sampler(lamps, lambda _: None).devices() == (cpu, card)
