"""Control groups of workers: limits in a tree of plain files, and the real thing where this machine permits it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rbee.builtin import cgroup
from rbee.builtin.host_probe import HostProbe
from rbee.hive import cgroups
from rbee.hive.cgroups import Groups, Limits

BOTH = Limits(memory_mb=512, cores=1.5)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the mount; the kernel's files are made where a test wants them."""
    root = tmp_path / "cgroup"
    group = root / "rbee.slice" / "llm"
    group.mkdir(parents=True)
    for level in (root, root / "rbee.slice", group):
        (level / "cgroup.controllers").write_text("cpuset cpu io memory pids\n", encoding="ascii")
        (level / "cgroup.subtree_control").write_text("\n", encoding="ascii")
    (tmp_path / "mounts").write_text(f"cgroup2 {root} cgroup2 rw 0 0\n", encoding="utf-8")
    monkeypatch.setattr(cgroup, "_MOUNTS", tmp_path / "mounts")
    monkeypatch.setattr(cgroup, "_ROOTS", (root,))
    return root


def text(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_limits_are_written_before_the_process_enters(root: Path) -> None:
    folder = Groups(BOTH).enter(7, "llm", "8080")
    assert folder == root / "rbee.slice" / "llm" / "8080"
    assert text(folder / "memory.max") == str(512 * 1024 * 1024)
    assert text(folder / "cpu.max") == "150000 100000"
    assert text(folder / "cgroup.procs") == "7"


def test_controllers_are_handed_on_all_the_way_down(root: Path) -> None:
    Groups(Limits(memory_mb=1)).enter(7, "llm", "8080")
    for level in (root, root / "rbee.slice", root / "rbee.slice" / "llm"):
        assert text(level / "cgroup.subtree_control") == "+memory"
    assert not (root / "rbee.slice" / "llm" / "8080" / "cpu.max").exists()


def test_what_is_handed_on_already_is_not_written_again(root: Path) -> None:
    (root / "cgroup.subtree_control").write_text("cpu memory\n", encoding="ascii")
    (root / "cgroup.subtree_control").chmod(0o400)
    Groups(BOTH).enter(7, "llm", "8080")
    assert text(root / "cgroup.subtree_control") == "cpu memory"


def test_without_limits_nothing_is_written_but_the_process(root: Path) -> None:
    before = files(root)
    Groups(Limits()).enter(7, "llm", "8080")
    assert files(root) - before == {"rbee.slice/llm/8080/cgroup.procs"}
    assert text(root / "cgroup.subtree_control") == ""


def test_a_limit_of_an_earlier_worker_is_lifted(root: Path) -> None:
    folder = root / "rbee.slice" / "llm" / "8080"
    folder.mkdir()
    (folder / "memory.max").write_text("4096\n", encoding="ascii")
    (folder / "cpu.max").write_text("max 100000\n", encoding="ascii")
    Groups(Limits()).enter(7, "llm", "8080")
    assert text(folder / "memory.max") == "max"
    assert text(folder / "cpu.max") == "max 100000", "no limit is left as it is"


def test_limits_of_other_groups_are_not_touched(root: Path) -> None:
    others = [root, root / "rbee.slice", root / "rbee.slice" / "llm", root / "system.slice"]
    for level in others:
        level.mkdir(exist_ok=True)
        (level / "memory.max").write_text("max\n", encoding="ascii")
        (level / "cpu.max").write_text("max 100000\n", encoding="ascii")
    Groups(BOTH).enter(7, "llm", "8080")
    for level in others:
        assert (text(level / "memory.max"), text(level / "cpu.max")) == ("max", "max 100000")


def test_a_quota_is_never_shorter_than_the_system_takes() -> None:
    assert Limits(cores=0.001).files()["cpu.max"] == "1000 100000"
    assert Limits().files() == {"memory.max": None, "cpu.max": None}


def test_a_controller_that_is_missing_is_said_once_with_a_remedy_and_the_worker_starts(root: Path, caplog) -> None:
    (root / "cgroup.controllers").write_text("cpu pids\n", encoding="ascii")
    groups = Groups(BOTH)
    for port in ("8080", "8081"):
        folder = groups.enter(7, "llm", port)
        assert text(folder / "cgroup.procs") == "7"
        assert text(folder / "cpu.max") == "150000 100000", "the other limit holds"
        assert not (folder / "memory.max").exists()
    (record,) = caplog.records
    assert "hive.worker_memory_max_mb is set, but workers run without it: the controller 'memory'" in record.message
    assert "MemoryMax=" in record.message


@pytest.mark.parametrize("kind", ["tmpfs", "cgroup"])
def test_nothing_is_written_into_another_kind_of_mount(root: Path, kind: str, caplog) -> None:
    (root.parent / "mounts").write_text(f"x {root} {kind} rw 0 0\n", encoding="utf-8")
    before = files(root)
    assert Groups(Limits(memory_mb=1)).enter(7, "llm", "8080") is None
    assert files(root) == before
    (record,) = caplog.records
    assert "no cgroup v2 is mounted here" in record.message


def test_no_limit_and_no_group_is_no_line_in_the_log(root: Path, caplog) -> None:
    (root.parent / "mounts").write_text("", encoding="utf-8")
    assert Groups(Limits()).enter(7, "llm", "8080") is None
    assert caplog.records == []


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not hold root back")
def test_a_group_that_must_not_be_made_costs_the_limit_and_not_the_worker(root: Path, caplog) -> None:
    (root / "rbee.slice" / "llm").chmod(0o500)
    try:
        assert Groups(Limits(cores=1)).enter(7, "llm", "8080") is None
    finally:
        (root / "rbee.slice" / "llm").chmod(0o700)
    assert "hive.worker_cpu_max is set, but workers run without it: no group can be made" in caplog.text


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    code = "import sys; print('up', flush=True); sys.stdin.readline(); sum(range(3_000_000)); print('b', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


def test_a_real_process_enters_is_counted_and_its_group_goes_with_it(
    sleeper: subprocess.Popen[bytes], clock, caplog
) -> None:
    mounted = cgroup.mount()
    if mounted is None or not os.access(mounted, os.W_OK):
        pytest.skip("no cgroup v2 that we may write to")
    group, instance = f"test-{os.getpid()}", "8080"
    there, handed_on = (cgroup.read(mounted / f"cgroup.{name}").split() for name in ("controllers", "subtree_control"))
    # What this machine's mount hands on is not a test's to change.
    limits = Limits() if "memory" in there and "memory" not in handed_on else Limits(memory_mb=4096)
    folder = Groups(limits).enter(sleeper.pid, group, instance)
    if folder is None:
        pytest.skip("no group can be made here")
    try:
        assert cgroups.of(sleeper.pid) == folder
        assert cgroup.group_of(sleeper.pid) == f"/rbee.slice/{group}/{instance}"
        if "memory" in handed_on:
            assert text(folder / "memory.max") == str(4096 << 20)
        elif "memory" not in there:
            assert "hive.worker_memory_max_mb is set, but workers run without it" in caplog.text
        probe = HostProbe(clock)
        probe.sample_processes([sleeper.pid])
        before = cgroup.usage(mounted, f"/rbee.slice/{group}/{instance}").cpu_s
        sleeper.stdin.write(b"\n")
        sleeper.stdin.flush()
        assert sleeper.stdout.readline() == b"b\n"
        clock.tick(1)
        sample = probe.sample_processes([sleeper.pid])[sleeper.pid]
        after = cgroup.usage(mounted, f"/rbee.slice/{group}/{instance}").cpu_s
        assert sample.cgroup == f"/rbee.slice/{group}/{instance}"
        assert 0 < sample.cpu_pct <= round(100 * (after - before), 1) + 0.1
    finally:
        sleeper.kill()
        sleeper.wait()
        cgroups.sweep(group)
    assert not folder.exists()
    assert not folder.parent.exists()
