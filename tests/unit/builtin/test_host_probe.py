"""The host probe, against real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from rbee.builtin import cgroup
from rbee.builtin.host_probe import HostProbe, usable_cores
from rbee.contract import Backend, DeviceType

# Burns a fifth of a second of processor time for each line it is sent, and answers when it has.
BURNER = """
import sys, time
for line in sys.stdin:
    until = time.process_time() + 0.2
    while time.process_time() < until: pass
    print("done", flush=True)
"""
# Its child holds 64 MiB that are really touched.
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c",
    "import sys; held = b'x' * (64 << 20); print('ready', flush=True); sys.stdin.read()"], stdin=subprocess.PIPE)
sys.stdin.read()
child.stdin.close()
child.wait()
"""


class Process:
    def __init__(self, code: str) -> None:
        self.it = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    @property
    def pid(self) -> int:
        return self.it.pid

    def line(self) -> str:
        return self.it.stdout.readline().strip()

    def burn(self) -> None:
        self.it.stdin.write("go\n")
        self.it.stdin.flush()
        assert self.line() == "done"

    def end(self) -> None:
        if not self.it.stdin.closed:
            self.it.stdin.close()
        self.it.wait(10)
        self.it.stdout.close()


@pytest.fixture
def burner() -> Iterator[Process]:
    process = Process(BURNER)
    yield process
    process.end()


def test_the_processor_is_a_device() -> None:
    (device,) = HostProbe().devices()
    assert (device.id, device.device_type, device.backend) == ("CPU-0", DeviceType.CPU, Backend.CPU)
    assert device.cores == usable_cores() >= 1
    assert 0 < device.memory_bytes <= psutil.virtual_memory().total
    assert device.name


def test_a_limit_of_the_group_makes_the_device_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cgroup.controllers").touch()
    (tmp_path / "cpu.max").write_text("50000 100000", encoding="ascii")
    (tmp_path / "memory.max").write_text("12345678", encoding="ascii")
    monkeypatch.setattr(cgroup, "_ROOTS", (tmp_path,))
    monkeypatch.setattr(cgroup, "group_of", lambda _: "/")
    (device,) = HostProbe().devices()
    assert (device.cores, device.memory_bytes) == (1, 12345678)


def test_the_machines_load_is_unknown_in_the_first_sample() -> None:
    probe = HostProbe()
    first, second = probe.sample_node(), probe.sample_node()
    assert first.cpu_pct is None
    assert 0 <= second.cpu_pct <= 100
    assert 0 < first.ram_used_mb <= first.ram_total_mb


def test_this_process_has_memory_and_no_rates_at_first(clock) -> None:
    sample = HostProbe(clock).sample_processes([os.getpid()])[os.getpid()]
    assert sample.rss_mb > 0
    assert sample.uptime_s >= 0
    assert (sample.cpu_pct, sample.io_r_mb_s, sample.io_w_mb_s) == (None, None, None)
    assert (sample.gpu_util_pct, sample.vram_mb) == (None, None)


def test_processor_time_is_told_for_the_time_between_samples(burner: Process, clock) -> None:
    probe = HostProbe(clock)
    probe.sample_processes([burner.pid])
    burner.burn()
    clock.tick(2)
    busy = probe.sample_processes([burner.pid])[burner.pid].cpu_pct
    clock.tick(2)
    idle = probe.sample_processes([burner.pid])[burner.pid].cpu_pct
    assert 8 <= busy <= 30
    assert idle < busy


def test_no_time_between_samples_gives_no_rate(burner: Process, clock) -> None:
    probe = HostProbe(clock)
    probe.sample_processes([burner.pid])
    assert probe.sample_processes([burner.pid])[burner.pid].cpu_pct is None


def test_descendants_count_with_their_root() -> None:
    parent = Process(PARENT)
    try:
        assert parent.line() == "ready"
        sample = HostProbe().sample_processes([parent.pid])[parent.pid]
        assert sample.rss_mb > 64
        assert sample.rss_mb > psutil.Process(parent.pid).memory_info().rss // 2**20 + 60
    finally:
        parent.end()


def test_a_process_that_is_gone_is_left_out(burner: Process) -> None:
    gone = Process("pass")
    gone.end()
    assert set(HostProbe().sample_processes([gone.pid, burner.pid])) == {burner.pid}
    assert HostProbe().sample_processes([]) == {}


def test_a_group_of_its_own_counts_what_has_ended(
    burner: Process, clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = tmp_path / "rbee.slice" / "llm" / "8080"
    group.mkdir(parents=True)
    (tmp_path / "cgroup.controllers").touch()
    monkeypatch.setattr(cgroup, "_ROOTS", (tmp_path,))
    monkeypatch.setattr(cgroup, "group_of", lambda _: "/rbee.slice/llm/8080")
    probe = HostProbe(clock)
    (group / "cpu.stat").write_text("usage_usec 1000000\n", encoding="ascii")
    probe.sample_processes([burner.pid])
    (group / "cpu.stat").write_text("usage_usec 4000000\n", encoding="ascii")
    clock.tick(2)
    sample = probe.sample_processes([burner.pid])[burner.pid]
    assert (sample.cgroup, sample.cpu_pct) == ("/rbee.slice/llm/8080", 150.0)


def test_somebody_elses_group_is_not_told(burner: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "group_of", lambda _: "/user.slice/session")
    assert HostProbe().sample_processes([burner.pid])[burner.pid].cgroup is None
