"""On a machine with an NVIDIA card: the probe beside the driver's own tool.  Skipped elsewhere."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess

import pytest
from rbee_nvidia import NvidiaProbe

pytestmark = pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA card here")


@pytest.fixture(scope="module")
def told() -> list[list[str]]:
    """What ``nvidia-smi`` says: name, total MiB, compute capability."""
    query = "--query-gpu=name,memory.total,compute_cap"
    text = subprocess.run(
        ["nvidia-smi", query, "--format=csv,noheader,nounits"], check=True, capture_output=True, text=True
    ).stdout
    return [[field.strip() for field in row] for row in csv.reader(text.splitlines())]


def test_the_devices_are_those_of_the_drivers_tool(told) -> None:
    devices = NvidiaProbe().devices()
    assert [device.name for device in devices] == [row[0] for row in told]
    assert [device.compute_capability for device in devices] == [row[2] for row in told]
    for device, row in zip(devices, told, strict=True):
        assert device.memory_bytes is not None
        assert abs(device.memory_bytes / 2**20 - float(row[1])) < 1024


def test_the_figures_are_plausible() -> None:
    gpus = NvidiaProbe().sample_node().gpus
    assert gpus
    for gpu in gpus:
        assert gpu.util_pct is not None
        assert 0 <= gpu.util_pct <= 100
        assert gpu.vram_used_mb is not None
        assert gpu.vram_total_mb is not None
        assert 0 <= gpu.vram_used_mb < gpu.vram_total_mb
        assert gpu.temp_c is not None
        assert 0 < gpu.temp_c < 120
        assert gpu.power_w is not None
        assert 0 < gpu.power_w < 2000


def test_memory_that_this_process_takes_is_seen() -> None:
    torch = pytest.importorskip("torch")
    probe = NvidiaProbe()
    before = probe.sample_node().gpus[0].vram_used_mb
    block = torch.empty(2 * 2**30, dtype=torch.uint8, device="cuda")
    work = torch.randn(4096, 4096, device="cuda")
    for _ in range(50):
        work = work @ work
        work /= work.norm()
    torch.cuda.synchronize()
    after = probe.sample_node().gpus[0].vram_used_mb
    assert before is not None
    assert after is not None
    assert 2048 <= after - before < 8192
    mine = probe.sample_processes([os.getpid()])
    del block
    if not mine:
        pytest.skip("the driver tells other process ids than this container's")
    share = mine[os.getpid()]
    assert share.gpu == "GPU-0"
    assert share.vram_mb is None or share.vram_mb >= 2048
