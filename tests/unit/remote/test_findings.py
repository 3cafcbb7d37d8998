from __future__ import annotations

from typing import Any

import pytest
from rbee.remote.findings import judged
from rbee.remote.preflight import Gpu, Look, Python

GIB = 1024**3
GOOD: dict[str, Any] = {
    "system": "Linux",
    "arch": "x86_64",
    "release": "Debian GNU/Linux 12",
    "libc": "glibc 2.36",
    "pythons": (Python("3.11.2", "/usr/bin/python3"),),
    "disk_bytes": 100 * GIB,
    "memory_bytes": 16 * GIB,
    "gpus": (Gpu(kind="nvidia", name="A", driver="550"),),
    "cards": ("0x10de",),
    "init": "systemd",
    "linger": True,
    "port": 7835,
    "port_taken": False,
    "clock_s": 0.4,
    "clock_error_s": 1.0,
    "reaches_queen": True,
    "reaches_index": True,
    "answers": "refused",
}


def test_a_machine_that_has_all_is_good() -> None:
    checks = judged(Look(**GOOD), "gpu1")

    assert {one.status for one in checks} == {"ok"}
    assert len({one.name for one in checks}) == len(checks)


@pytest.mark.parametrize(
    ("changed", "name", "status", "words"),
    [
        ({"system": "FreeBSD"}, "system", "fail", "Linux and macOS"),
        ({"arch": "riscv64"}, "system", "warn", "compiler"),
        ({"libc": "musl 1.2.4"}, "C library", "warn", "glibc"),
        ({"libc": "glibc 2.17"}, "C library", "warn", "glibc"),
        ({"pythons": (), "reaches_index": False}, "Python", "fail", "Install Python"),
        ({"pythons": (Python("3.9.1", "/p"),), "reaches_index": None}, "Python", "warn", "Install Python"),
        ({"disk_bytes": GIB}, "disk", "fail", "make room"),
        ({"disk_bytes": 5 * GIB}, "disk", "warn", "make room"),
        ({"memory_bytes": GIB}, "memory", "warn", "small"),
        ({"gpus": ()}, "devices", "warn", "driver of NVIDIA"),
        ({"linger": False}, "service", "warn", "enable-linger"),
        ({"init": "none"}, "service", "warn", "rbee hive start"),
        ({"port_taken": True}, "port", "warn", "--port"),
        ({"clock_s": -90.0}, "clock", "warn", "NTP"),
        ({"reaches_queen": False}, "queen", "warn", "tunnel"),
        ({"answers": "silent"}, "hive's port", "warn", "firewall"),
    ],
)
def test_what_troubles_is_said_with_a_remedy(changed: dict[str, Any], name: str, status: str, words: str) -> None:
    (found,) = [one for one in judged(Look(**{**GOOD, **changed}), "gpu1") if one.name == name]

    assert found.status == status
    assert found.remedy is not None
    assert words in found.remedy


def test_a_machine_without_python_will_do_where_one_can_be_brought() -> None:
    for brought in ({"uv": "0.9"}, {"reaches_index": True}):
        (found,) = [one for one in judged(Look(**{**GOOD, "pythons": (), **brought}), "gpu1") if one.name == "Python"]
        assert found.status == "ok"


def test_a_port_that_its_own_hive_has_is_good() -> None:
    checks = judged(Look(**{**GOOD, "port_taken": True}), "gpu1", hive_runs=True)

    assert {one.status for one in checks} == {"ok"}


def test_what_is_unknown_is_not_guessed() -> None:
    names = {one.name for one in judged(Look(system="Linux", arch="x86_64", port=1), "gpu1")}

    assert names == {"system", "Python", "devices", "service"}
