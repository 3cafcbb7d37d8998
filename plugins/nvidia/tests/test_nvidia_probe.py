"""The probe over a stand-in of the library, and over the real one where there is no driver."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from rbee.contract import Backend, DeviceType, GpuStats, NodeSample, Probe
from rbee.testing.conformance import ProbeContract
from rbee_nvidia import NvidiaProbe

MIB = 1024 * 1024
GIB = 1024 * MIB
CARD = {
    "name": "NVIDIA GeForce RTX 4090",
    "capability": (8, 9),
    "memory": (2 * GIB, 24 * GIB),
    "load": 35,
    "temperature": 61,
    "milliwatts": 212_345,
    "compute": {},
    "graphics": {},
    "samples": [],
}


class TestNvidiaProbeHere(ProbeContract):
    """With the real library, whatever this machine has."""

    @pytest.fixture
    def probe(self) -> Probe:
        return NvidiaProbe()


class TestNvidiaProbeWithACard(ProbeContract):
    @pytest.fixture
    def probe(self, nvml) -> Probe:
        nvml.cards = [CARD | {"compute": {os.getpid(): 300 * MIB}}]
        return NvidiaProbe(nvml)


def test_a_card_is_described(nvml, probe) -> None:
    nvml.cards = [CARD, CARD | {"name": b"Tesla T4", "capability": (7, 5), "memory": (0, 15 * GIB)}]
    first, second = probe.devices()
    assert (first.id, first.name, first.device_type) == ("GPU-0", "NVIDIA GeForce RTX 4090", DeviceType.GPU)
    assert (first.vram_gb, first.memory_bytes, first.compute_capability) == (24.0, 24 * GIB, "8.9")
    assert (first.backend, first.cores) == (Backend.CUDA, None)
    assert (second.id, second.name, second.compute_capability) == ("GPU-1", "Tesla T4", "7.5")


def test_a_cards_figures_are_told(nvml, probe) -> None:
    nvml.cards = [CARD]
    assert probe.sample_node() == NodeSample(
        gpus=(
            GpuStats(id="GPU-0", util_pct=35.0, vram_used_mb=2048, vram_total_mb=24 * 1024, temp_c=61.0, power_w=212.3),
        )
    )


def test_what_a_card_does_not_tell_is_unknown_and_not_zero(nvml, probe) -> None:
    nvml.cards = [{"name": "NVIDIA GB10"}]
    assert probe.sample_node().gpus == (GpuStats(id="GPU-0"),)
    (device,) = probe.devices()
    assert (device.vram_gb, device.memory_bytes, device.compute_capability) == (None, None, None)
    assert probe.sample_processes([os.getpid()]) == {}


def test_no_driver_is_no_gpu_and_is_asked_once(nvml, probe) -> None:
    nvml.driver = False
    assert probe.devices() == ()
    assert probe.sample_node() == NodeSample()
    assert probe.sample_processes([os.getpid()]) == {}
    assert nvml.inits == 1


def test_a_driver_that_goes_away_and_comes_back_is_found_again(nvml, probe) -> None:
    nvml.cards = [CARD]
    assert len(probe.devices()) == 1
    nvml.driver = False
    for _ in range(3):
        assert probe.devices() == ()
    nvml.driver = True
    assert len(probe.devices()) == 1


def test_a_workers_share_counts_its_whole_tree(nvml, probe) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        mine, other = os.getpid(), 2**22 + 1
        nvml.cards = [
            CARD
            | {
                "compute": {mine: 300 * MIB, child.pid: 200 * MIB, other: 5 * GIB},
                "samples": [(mine, 1000, 20), (child.pid, 1001, 15), (other, 1002, 60)],
            }
        ]
        sample = probe.sample_processes([mine])[mine]
        child.communicate()
    assert (sample.gpu, sample.vram_mb, sample.total_vram_mb, sample.gpu_util_pct) == ("GPU-0", 500, 24 * 1024, 35.0)
    assert (sample.cpu_pct, sample.rss_mb) == (None, None)


def test_a_worker_on_two_cards_has_the_sum_of_memory_and_the_larger_load(nvml, probe) -> None:
    mine = os.getpid()
    nvml.cards = [
        CARD | {"compute": {mine: 300 * MIB}, "samples": [(mine, 1000, 20)]},
        CARD | {"graphics": {mine: 100 * MIB}, "samples": [(mine, 1000, 70)]},
    ]
    sample = probe.sample_processes([mine])[mine]
    assert (sample.gpu, sample.vram_mb, sample.gpu_util_pct) == ("GPU-0,GPU-1", 400, 70.0)
    assert sample.vram_by_gpu_mb == {"GPU-0": 300, "GPU-1": 100}


def test_memory_of_unknown_size_makes_the_sum_unknown(nvml, probe) -> None:
    mine = os.getpid()
    nvml.cards = [CARD | {"compute": {mine: None}}]
    sample = probe.sample_processes([mine])[mine]
    assert (sample.gpu, sample.vram_mb, sample.gpu_util_pct) == ("GPU-0", None, None)


def test_the_load_is_that_since_the_last_sample(nvml, probe) -> None:
    mine = os.getpid()
    nvml.cards = [CARD | {"compute": {mine: MIB}, "samples": [(mine, 1000, 20), (mine, 2000, 40)]}]
    assert probe.sample_processes([mine])[mine].gpu_util_pct == 40.0
    assert probe.sample_processes([mine])[mine].gpu_util_pct is None
    nvml.cards[0]["samples"].append((mine, 3000, 10))
    assert probe.sample_processes([mine])[mine].gpu_util_pct == 10.0


def test_rubbish_in_the_drivers_buffer_is_left_out(nvml, probe) -> None:
    mine = os.getpid()
    nvml.cards = [CARD | {"compute": {mine: MIB}, "samples": [(mine, 1000, 4_294_967_295), (mine, 900, 7)]}]
    assert probe.sample_processes([mine])[mine].gpu_util_pct == 7.0


def test_a_worker_that_uses_no_card_is_left_out(nvml, probe) -> None:
    nvml.cards = [CARD]
    assert probe.sample_processes([os.getpid()]) == {}


def test_the_doctor_names_the_cards_and_the_driver(nvml, probe) -> None:
    nvml.cards = [CARD, {}]
    nvml.version = b"560.35.03"
    (line,) = probe.diagnose()
    assert (line.name, line.status, line.remedy) == ("NVIDIA", "ok", None)
    assert line.detail == "GPU-0 NVIDIA GeForce RTX 4090, GPU-1 of unknown name; driver 560.35.03"


def test_no_driver_and_no_card_is_in_order(nvml, probe) -> None:
    nvml.driver = False
    (line,) = probe.diagnose()
    assert (line.status, line.detail, line.remedy) == ("ok", "no driver: no GPU is used", None)


def test_a_driver_without_a_card_is_in_order(nvml, probe) -> None:
    (line,) = probe.diagnose()
    assert (line.status, line.detail) == ("ok", "a driver and no card: no GPU is used")


def test_a_card_without_a_driver_is_a_warning_with_a_remedy(nvml, probe, add_device) -> None:
    nvml.driver = False
    add_device("0000:01:00.0")
    add_device("0000:01:00.1", kind="0x040300")
    (line,) = probe.diagnose()
    assert line.status == "warn"
    assert "1 of NVIDIA's cards on the PCI bus (0000:01:00.0), and none can be used: NVML Shared Library" in line.detail
    assert "driver" in line.remedy


def test_a_machine_without_a_pci_bus_has_no_card(nvml, tmp_path) -> None:
    nvml.driver = False
    (line,) = NvidiaProbe(nvml, tmp_path / "absent").diagnose()
    assert line.status == "ok"
