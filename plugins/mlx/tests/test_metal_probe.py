"""The probe, over what the tables of a Mac look like."""

from __future__ import annotations

import plistlib

import pytest
from rbee.contract import Backend, NodeSample
from rbee_mlx.metal_probe import MetalProbe, asked

GIB = 1024**3
STATISTICS = {"Device Utilization %": 42, "In use system memory": 3 * GIB, "Alloc system memory": 5 * GIB}


def mac(**answers):
    """A probe on a Mac whose commands answer so; they are told apart by their last word."""
    told = {
        "hw.memsize": str(32 * GIB).encode(),
        "iogpu.wired_limit_mb": b"0\n",
        "machdep.cpu.brand_string": b"Apple M4 Max\n",
        "IOAccelerator": plistlib.dumps([{"PerformanceStatistics": STATISTICS}]),
        **{name.replace("_", "."): value for name, value in answers.items()},
    }
    return MetalProbe(lambda command: told.get(command[-1], b""), lambda: True)


def test_the_gpu_of_a_mac_has_what_the_system_lets_it_have():
    (device,) = mac().devices()
    assert (device.id, device.name, device.backend) == ("GPU-0", "Apple M4 Max", Backend.METAL)
    assert (device.memory_bytes, device.vram_gb) == (24 * GIB, 24.0)
    limited = MetalProbe(lambda command: b"8192" if command[-1] == "iogpu.wired_limit_mb" else b"", lambda: True)
    assert limited.devices()[0].memory_bytes == 8 * GIB


def test_load_and_memory_in_use_are_told():
    (gpu,) = mac().sample_node().gpus
    assert (gpu.id, gpu.util_pct, gpu.vram_used_mb, gpu.vram_total_mb) == ("GPU-0", 42.0, 3072, 24 * 1024)


@pytest.mark.parametrize(
    "table",
    [
        b"",
        b"<plist>",
        b"\xff",
        plistlib.dumps([]),
        plistlib.dumps({"x": 1}),
        plistlib.dumps([{"PerformanceStatistics": 5}]),
    ],
)
def test_what_the_system_does_not_tell_is_unknown(table):
    probe = MetalProbe(lambda command: table if command[-1] == "IOAccelerator" else b"", lambda: True)
    (gpu,) = probe.sample_node().gpus
    assert (gpu.util_pct, gpu.vram_used_mb, gpu.vram_total_mb) == (None, None, None)
    assert probe.devices()[0].memory_bytes is None


def test_elsewhere_it_is_silent_and_asks_nothing():
    def ask(command):
        raise AssertionError(command)

    probe = MetalProbe(ask, lambda: False)
    assert (probe.devices(), probe.sample_node(), probe.sample_processes([1])) == ((), NodeSample(), {})


def test_a_command_that_fails_or_hangs_answers_nothing():
    assert asked(("/nowhere/at-all",)) == b""
    assert asked(("false",)) == b""
    assert asked(("sleep", "60")) == b""
    assert asked(("echo", "hi")) == b"hi\n"
