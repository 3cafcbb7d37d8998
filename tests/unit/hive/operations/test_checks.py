"""What a hive says of its machine."""

from __future__ import annotations

import threading
from typing import Any
from unittest.mock import Mock

import pytest
from rbee.contract.checks import Check
from rbee.contract.types import EngineInfo
from rbee.hive.operations import checks as module
from rbee.http.ports import listen


async def checks(hive: Any) -> dict[str, Check]:
    found = (await hive.do("hive_check")).checks
    assert all(one.remedy for one in found if one.status != "ok"), "whoever complains says what to do"
    return {one.name: one for one in found}


async def test_a_machine_in_order_is_ok(hive: Any) -> None:
    hive.folders.home.chmod(0o700)
    found = await checks(hive)
    assert {found[name].status for name in ("engine mill", "devices", "threads", "disk", "ports")} == {"ok"}
    assert hive.looked == 1


@pytest.mark.parametrize(("fixed", "status"), [(True, "warn"), (False, "ok")])
async def test_that_no_threads_are_left_is_a_warning_where_they_are_limited(
    hive: Any, fixed: bool, status: str
) -> None:
    hive.hive.info.return_value = Mock(threads_free=0, threads_total=2)
    hive.hive.budgets.threads.fixed = fixed
    found = (await checks(hive))["threads"]
    assert found.status == status
    assert found.detail.startswith("0 of 2 free: ")


async def test_what_others_can_read_is_named(hive: Any) -> None:
    hive.folders.home.chmod(0o700)
    hive.folders.config.mkdir(mode=0o700)
    hive.folders.token_file.write_text("secret")
    hive.folders.token_file.chmod(0o644)
    found = (await hive.do("hive_check")).checks
    (wrong,) = [one for one in found if one.name == "permissions" and str(hive.folders.token_file) in one.detail]
    assert (wrong.status, wrong.remedy) == ("fail", f"chmod go-rwx '{hive.folders.token_file}'")


async def test_missing_engines_and_devices_fail(hive: Any) -> None:
    hive.found.engines, hive.found.capabilities = (), ()
    found = await checks(hive)
    assert (found["engines"].status, found["devices"].status) == ("fail", "fail")


async def test_an_engine_that_cannot_run_tells_its_remedy(hive: Any) -> None:
    lame = EngineInfo(
        name="lame",
        version=None,
        formats=(),
        backends=(),
        capabilities=(),
        available=False,
        reason="no leg; buy one",
    )
    hive.found.engines = (*hive.found.engines, lame)
    one = (await checks(hive))["engine lame"]
    assert (one.status, one.detail, one.remedy) == ("warn", "no leg", "buy one")


async def test_of_an_engine_that_nobody_has_asked_for_nobody_is_warned(hive: Any) -> None:
    facts = {"version": None, "formats": (), "backends": (), "capabilities": (), "available": False}
    rare = EngineInfo(name="rare", reason="it is not on the PATH; buy one", optional=True, **facts)
    silent = EngineInfo(name="silent", **facts)
    hive.found.engines = (*hive.found.engines, rare, silent)
    found = await checks(hive)
    one, other = found["engine rare"], found["engine silent"]
    assert (one.status, one.detail, one.remedy) == ("ok", "not here: it is not on the PATH", None)
    assert (other.status, other.remedy) == ("warn", "Install it: rbee worker install silent")
    hive.found.engines = (rare,)
    assert (await checks(hive))["engines"].status == "fail", "they are no engines to count on"


async def test_a_probe_speaks_and_one_that_fails_is_named(hive: Any) -> None:
    class Good:
        name = "good"

        def diagnose(self) -> list[Check]:
            return [Check(name="lamp", status="ok", detail="burns")]

    class Bad(Good):
        name = "bad"

        def diagnose(self) -> list[Check]:
            raise OSError("no driver")

    hive.plugins.registrations.probes.things.return_value = [Bad, Good]
    found = await checks(hive)
    assert found["lamp"].detail == "burns"
    assert "no driver" in found["probe bad"].detail


async def test_a_probe_that_hangs_is_named_and_asked_in_one_thread_however_often(
    hive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed = threading.Event()

    class Stuck:
        name = "stuck"

        def diagnose(self) -> list[Check]:
            freed.wait(60)
            return [Check(name="lamp", status="ok", detail="burns")]

    hive.plugins.registrations.probes.things.return_value = [Stuck]
    monkeypatch.setattr(module, "_PROBE_S", 0.05)
    for _ in range(3):
        assert "did not answer" in (await checks(hive))["probe stuck"].detail
    assert len([one for one in threading.enumerate() if one.name == "diagnosis by stuck"]) == 1
    freed.set()
    monkeypatch.setattr(module, "_PROBE_S", 10)
    assert (await checks(hive))["lamp"].detail == "burns"


async def test_a_disk_that_is_nearly_full_warns_before_it_fails(hive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, status in ((10_000_000_000 - 1, "warn"), (1_000_000_000 - 1, "fail")):
        monkeypatch.setattr("shutil.disk_usage", lambda _path, free=free: type("Usage", (), {"free": free}))
        assert (await checks(hive))["disk"].status == status


def test_taken_ports_are_counted() -> None:
    with listen("127.0.0.1", 0, "the test") as sock:
        port = sock.getsockname()[1]
        assert module._free("127.0.0.1", range(port, port + 1)) == 0
    assert module._free("127.0.0.1", range(port, port + 1)) == 1
