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


# For each line it starts a child that burns a fifth of a second of processor time and writes 8 MiB to a file,
# and waits for its end.
CHILD = """
import os, sys, time
until = time.process_time() + 0.2
while time.process_time() < until: pass
with open(sys.argv[1], "wb") as file:
    file.write(os.urandom(8 << 20))
    file.flush()
    os.fsync(file.fileno())
"""
FORKER = f"""
import subprocess, sys
for line in sys.stdin:
    subprocess.run([sys.executable, "-c", {CHILD!r}, sys.argv[1]], check=True)
    print("done", flush=True)
"""


class Process:
    def __init__(self, code: str, *arguments: str) -> None:
        self.it = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
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


def control_groups_at(folder: Path, monkeypatch: pytest.MonkeyPatch, group: str) -> None:
    """Make the probe take a folder of plain files for the mount."""
    (folder / "cgroup.controllers").touch()
    (folder / "mounts").write_text(f"cgroup2 {folder} cgroup2 rw 0 0\n", encoding="utf-8")
    monkeypatch.setattr(cgroup, "_MOUNTS", folder / "mounts")
    monkeypatch.setattr(cgroup, "_ROOTS", (folder,))
    monkeypatch.setattr(cgroup, "group_of", lambda _: group)


def test_a_limit_of_the_group_makes_the_device_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    control_groups_at(tmp_path, monkeypatch, "/")
    (tmp_path / "cpu.max").write_text("50000 100000", encoding="ascii")
    (tmp_path / "memory.max").write_text("12345678", encoding="ascii")
    (device,) = HostProbe().devices()
    assert (device.cores, device.memory_bytes) == (1, 12345678)


def test_the_machines_load_is_unknown_in_the_first_sample(clock) -> None:
    probe = HostProbe(clock)
    first = probe.sample_node()
    assert probe.sample_node().cpu_pct is None, "no time has passed"
    clock.tick(1)
    second = probe.sample_node()
    assert first.cpu_pct is None
    assert 0 <= second.cpu_pct <= 100
    assert 0 < first.ram_used_mb <= first.ram_total_mb


def test_this_process_has_memory_and_no_rates_at_first(clock) -> None:
    sample = HostProbe(clock).sample_processes([os.getpid()])[os.getpid()]
    assert sample.rss_mb > 0
    assert sample.uptime_s >= 0
    assert (sample.cpu_pct, sample.io_r_mb_s, sample.io_w_mb_s) == (None, None, None)
    assert (sample.gpu_util_pct, sample.vram_mb) == (None, None)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux keeps the peak of a process")
def test_a_peak_that_came_and_went_between_two_samples_is_told(clock) -> None:
    swollen = "import sys; held = b'x' * (64 << 20); del held; print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", swollen], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        sample = HostProbe(clock).sample_processes([process.pid])[process.pid]
        process.communicate()
    assert sample.rss_peak_mb >= sample.rss_mb + 50


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
    control_groups_at(tmp_path, monkeypatch, "/rbee.slice/llm/8080")
    probe = HostProbe(clock)
    (group / "cpu.stat").write_text("usage_usec 1000000\n", encoding="ascii")
    (group / "io.stat").write_text("8:0 rbytes=0 wbytes=1048576\n", encoding="ascii")
    first = probe.sample_processes([burner.pid])[burner.pid]
    now_mb = psutil.Process(burner.pid).memory_info().rss / 2**20
    # It may have grown a little since it was measured.
    assert abs(first.rss_mb - now_mb) <= 2, "nobody counts memory in the group"
    (group / "cpu.stat").write_text("usage_usec 4000000\n", encoding="ascii")
    (group / "io.stat").write_text("8:0 rbytes=1048576 wbytes=5242880\n", encoding="ascii")
    (group / "memory.current").write_text(f"{777 << 20}\n", encoding="ascii")
    clock.tick(2)
    sample = probe.sample_processes([burner.pid])[burner.pid]
    assert (sample.cgroup, sample.cpu_pct, sample.rss_mb) == ("/rbee.slice/llm/8080", 150.0, 777)
    assert sample.rss_peak_mb == 777, "what the group is charged, not what its processes have"
    assert (sample.io_r_mb_s, sample.io_w_mb_s) == (0.5, 2.0)


def test_what_a_group_does_not_count_is_taken_from_the_processes(
    burner: Process, clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rbee.slice" / "llm" / "8080").mkdir(parents=True)
    control_groups_at(tmp_path, monkeypatch, "/rbee.slice/llm/8080")
    probe = HostProbe(clock)
    probe.sample_processes([burner.pid])
    burner.burn()
    clock.tick(2)
    sample = probe.sample_processes([burner.pid])[burner.pid]
    assert sample.cgroup == "/rbee.slice/llm/8080"
    assert 8 <= sample.cpu_pct <= 30
    assert sample.rss_mb > 0


def written_by(pid: int) -> int | None:
    """Bytes that reached storage, in the system's own words."""
    try:
        return psutil.Process(pid).io_counters().write_bytes
    except (psutil.Error, AttributeError):
        return None


def test_children_that_came_and_went_between_two_samples_count(clock, tmp_path: Path) -> None:
    forker = Process(FORKER, str(tmp_path / "file"))
    try:
        probe = HostProbe(clock)
        before = written_by(forker.pid)
        probe.sample_processes([forker.pid])
        forker.burn()
        forker.burn()
        after = written_by(forker.pid)
        clock.tick(2)
        sample = probe.sample_processes([forker.pid])[forker.pid]
        assert sample.pids == (forker.pid,)
        assert sample.cpu_pct >= 20, "two fifths of a second within two"
        if before is None or after is None:
            assert sample.io_w_mb_s is None
        else:
            # How much of it counts as storage is the system's to say: nothing, on a disk of memory.
            assert sample.io_w_mb_s == round((after - before) / 2**20 / 2, 3)
    finally:
        forker.end()


def test_all_processes_of_a_worker_are_named_and_the_worker_first() -> None:
    parent = Process(PARENT)
    try:
        assert parent.line() == "ready"
        pids = HostProbe().sample_processes([parent.pid])[parent.pid].pids
        assert pids[0] == parent.pid
        assert sorted(pids[1:]) == sorted(child.pid for child in psutil.Process(parent.pid).children(recursive=True))
        assert len(pids) == 2
    finally:
        parent.end()


def test_two_looks_in_one_instant_do_not_spoil_the_rate(burner: Process, clock) -> None:
    probe = HostProbe(clock)
    probe.sample_processes([burner.pid])
    burner.burn()
    clock.tick(2)
    busy = probe.sample_processes([burner.pid])[burner.pid].cpu_pct
    clock.tick(0.001)
    again = probe.sample_processes([burner.pid])[burner.pid].cpu_pct
    assert abs(again - busy) < 2, "since the same earlier look"


def test_the_probe_says_where_workers_are_grouped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    control_groups_at(tmp_path, monkeypatch, "/")
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu memory\n", encoding="ascii")
    (line,) = HostProbe().diagnose()
    assert (line.name, line.status) == ("control groups", "ok")
    assert f"'{tmp_path}/rbee.slice/'" in line.detail
    assert "cpu, memory" in line.detail
    monkeypatch.setattr(cgroup, "_ROOTS", ())
    (line,) = HostProbe().diagnose()
    assert "no cgroup v2" in line.detail


def test_somebody_elses_group_is_not_told(burner: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "group_of", lambda _: "/user.slice/session")
    assert HostProbe().sample_processes([burner.pid])[burner.pid].cgroup is None
