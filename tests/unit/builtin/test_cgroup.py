"""Control groups, read from a tree of plain files."""

from __future__ import annotations

from pathlib import Path

import pytest
from rbee.builtin import cgroup
from rbee.builtin.cgroup import GroupLimits, GroupUsage


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "cgroup"
    (root / "a" / "b").mkdir(parents=True)
    (root / "cgroup.controllers").write_text("cpu memory\n", encoding="ascii")
    (tmp_path / "mounts").write_text(f"cgroup2 {root} cgroup2 rw 0 0\n", encoding="utf-8")
    monkeypatch.setattr(cgroup, "_MOUNTS", tmp_path / "mounts")
    monkeypatch.setattr(cgroup, "_ROOTS", (tmp_path / "absent", root))
    monkeypatch.setattr(cgroup, "group_of", lambda _: "/a/b")
    return root


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="ascii")


def test_the_mount_is_where_the_controllers_are(root: Path) -> None:
    assert cgroup.mount() == root
    (root / "cgroup.controllers").unlink()
    assert cgroup.mount() is None


@pytest.mark.parametrize("kind", ["tmpfs", "cgroup"])
def test_a_folder_that_is_not_mounted_as_version_2_is_not_the_mount(root: Path, kind: str) -> None:
    (root.parent / "mounts").write_text(f"x {root} {kind} rw 0 0\nrubbish\n", encoding="utf-8")
    assert cgroup.mount() is None


def test_the_mount_of_this_machine_is_what_the_system_says() -> None:
    kinds = {line.split()[1]: line.split()[2] for line in cgroup.read(Path("/proc/self/mounts")).splitlines()}
    found = cgroup.mount()
    assert found is None or kinds[str(found)] == "cgroup2"
    assert (found is None) == ("cgroup2" not in {kinds.get(str(root)) for root in cgroup._ROOTS})


def test_usage_is_read_in_seconds_and_bytes(root: Path) -> None:
    write(root / "a", cpu_stat="usage_usec 2500000\nuser_usec 1\n", memory_current="4096\n")
    assert cgroup.usage(root, "/a") == GroupUsage(cpu_s=2.5, memory_bytes=4096)


def test_files_read_once_are_not_memory_in_use(root: Path) -> None:
    write(root / "a", memory_current="10000\n", memory_stat="anon 1\ninactive_file 4000\nactive_file 9\n")
    assert cgroup.usage(root, "/a").memory_bytes == 6000
    write(root / "a", memory_stat="inactive_file 40000\n")
    assert cgroup.usage(root, "/a").memory_bytes == 0


def test_bytes_moved_are_those_of_all_devices(root: Path) -> None:
    write(root / "a", io_stat="8:0 rbytes=10 wbytes=20 rios=1 wios=2\n254:0 wbytes=5 rbytes=x\n\n")
    used = cgroup.usage(root, "/a")
    assert (used.read_bytes, used.written_bytes) == (10, 25)
    write(root / "a", io_stat="")
    used = cgroup.usage(root, "/a")
    assert (used.read_bytes, used.written_bytes) == (0, 0), "counted, and nothing moved yet"


def test_what_is_not_counted_is_unknown(root: Path) -> None:
    assert cgroup.usage(root, "/a") == GroupUsage(cpu_s=None, memory_bytes=None)
    assert cgroup.usage(root, "/never/there") == GroupUsage(cpu_s=None, memory_bytes=None)


@pytest.mark.parametrize(
    ("upper", "lower", "limits"),
    [
        ({}, {}, (None, None)),
        ({"cpu_max": "max 100000", "memory_max": "max"}, {"cpu_max": "max 100000", "memory_max": "max"}, (None, None)),
        ({"cpu_max": "150000 100000", "memory_max": "1000"}, {}, (1.5, 1000)),
        (
            {"cpu_max": "100000 100000", "memory_max": "2000"},
            {"cpu_max": "400000 100000", "memory_max": "1000"},
            (1.0, 1000),
        ),
        ({"cpu_max": "rubbish", "memory_max": "rubbish"}, {"cpu_max": "50000 100000"}, (0.5, None)),
    ],
)
def test_the_tightest_limit_on_the_way_up_holds(root: Path, upper: dict, lower: dict, limits: tuple) -> None:
    write(root / "a", **upper)
    write(root / "a" / "b", **lower)
    assert cgroup.own_limits() == GroupLimits(cores=limits[0], memory_bytes=limits[1])


def test_limits_of_the_mount_itself_count_and_those_above_do_not(root: Path) -> None:
    write(root, memory_max="500")
    write(root.parent, memory_max="1")
    assert cgroup.own_limits().memory_bytes == 500


def test_without_control_groups_there_is_no_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "_ROOTS", (tmp_path,))
    assert cgroup.own_limits() == GroupLimits(cores=None, memory_bytes=None)


def test_a_process_that_is_gone_has_no_group() -> None:
    assert cgroup.group_of(2**31 - 1) is None
