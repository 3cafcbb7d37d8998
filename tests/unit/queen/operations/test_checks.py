"""What the queen says of her colony."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from rbee.beehives import Beehive
from rbee.clients import Credentials
from rbee.contract.checks import Check
from rbee.contract.version import __version__
from rbee.contract.wire import HiveHeartbeat, HiveInfo, ProcessStats, Registration
from rbee.queen.clocks import HiveClocks
from rbee.queen.operations import QueenChecks
from rbee.settings import Settings
from rbee.telemetry import Limits, TelemetryRegistry

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Colony:
    """Checks over a real telemetry registry."""

    def __init__(self, clock: Any, **more: Any) -> None:
        self.telemetry = TelemetryRegistry(clock, Limits(), lambda _model: None)
        more.setdefault("store", self.fine)
        more.setdefault("registry_url", None)
        self.clocks = HiveClocks(self.telemetry, lambda: NOW)
        self.checks = QueenChecks(self.telemetry, self.clocks, Settings(), Credentials(), **more)

    async def fine(self) -> None:
        """The store takes what it is given."""

    def beat(self, hive_id: str, version: str = __version__, ahead_s: float = 0.0) -> None:
        info = HiveInfo(id=hive_id, hostname="x", port=1, url="http://x:1", version=version, instance_id="i", seq=1)
        beat = HiveHeartbeat(hive=info, timestamp=NOW + timedelta(seconds=ahead_s))
        self.telemetry.update_hive_state(beat)
        self.clocks.heard(hive_id, beat.timestamp)

    async def look(self) -> dict[str, Check]:
        found = (await self.checks.queen_check({}, Mock())).checks
        assert all(one.remedy for one in found if one.status != "ok"), "whoever complains says what to do"
        return {one.name: one for one in found}


async def test_a_colony_in_order_is_ok(clock: Any) -> None:
    colony = Colony(clock)
    colony.beat("h")
    assert {one.status for one in (await colony.look()).values()} == {"ok"}


async def test_a_queen_without_hives_fails(clock: Any) -> None:
    assert (await Colony(clock).look())["hives"].status == "fail"


async def test_a_silent_hive_fails(clock: Any) -> None:
    colony = Colony(clock)
    colony.beat("h")
    clock.tick(20)
    one = (await colony.look())["hive h"]
    assert (one.status, one.detail) == ("fail", "has been silent for 20 s")


@pytest.mark.parametrize(("ahead_s", "told"), [(60.0, "ahead of"), (-60.0, "behind")])
async def test_a_clock_that_is_off_warns(clock: Any, ahead_s: float, told: str) -> None:
    colony = Colony(clock)
    colony.beat("h", ahead_s=ahead_s)
    one = (await colony.look())["clock of h"]
    assert (one.status, told in one.detail) == ("warn", True)


async def test_other_versions_warn(clock: Any) -> None:
    colony = Colony(clock)
    colony.beat("h", version="0.0.1")
    one = (await colony.look())["versions"]
    assert (one.status, "h has 0.0.1" in one.detail) == ("warn", True)


async def test_a_registry_that_does_not_answer_warns(clock: Any) -> None:
    one = (await Colony(clock, registry_url="http://127.0.0.1:9").look())["registry"]
    assert (one.status, "does not answer" in one.detail) == ("warn", True)


async def test_a_store_that_takes_nothing_fails(clock: Any) -> None:
    async def full() -> None:
        raise OSError("no space left")

    one = (await Colony(clock, store=full).look())["job store"]
    assert (one.status, "no space left" in one.detail) == ("fail", True)


async def test_machines_that_should_be_there_and_are_not_warn(clock: Any) -> None:
    async def entered() -> list[Beehive]:
        return [
            Beehive(node_name="away", status="offline"),
            Beehive(node_name="off", status="offline", enabled=False),
            Beehive(node_name="new"),
        ]

    found = await Colony(clock, beehives=entered).look()
    assert [name for name in found if name.startswith("beehive")] == ["beehive away"]


async def test_hung_and_unobserved_workers_are_told_apart(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    colony = Colony(clock)
    for worker_id in ("stuck", "lone", "good"):
        colony.telemetry.register_worker(Registration(worker_id=worker_id, url="http://x:2", model="m"))
    presences = {"stuck": "hung", "lone": "unobserved", "good": "online"}
    monkeypatch.setattr(colony.telemetry, "presence", lambda entry: presences[entry.worker_id], raising=True)
    found = await colony.look()
    assert (found["worker stuck"].status, found["worker lone"].status) == ("fail", "warn")
    assert "worker good" not in found


async def test_two_hives_under_one_id_fail(clock: Any) -> None:
    colony = Colony(clock)
    for seq, name in enumerate(("one", "two"), 1):
        info = HiveInfo(id="h", hostname=name, port=1, url=f"http://{name}:1", instance_id=name, seq=seq)
        colony.telemetry.update_hive_state(HiveHeartbeat(hive=info, timestamp=NOW))
    clock.tick(10)
    late = HiveInfo(id="h", hostname="one", port=1, url="http://one:1", instance_id="one", seq=9)
    colony.telemetry.update_hive_state(HiveHeartbeat(hive=late, timestamp=NOW))
    one = (await colony.look())["hive h"]
    assert one.status == "fail"
    assert one.detail == "two hives go by this id: http://two:1 is heard, http://one:1 is not"


async def test_two_workers_under_one_id_fail_with_both_hives_and_the_remedy(clock: Any) -> None:
    colony = Colony(clock)
    for pid, hive_id in enumerate(("a", "b"), 10):
        info = HiveInfo(id=hive_id, hostname="x", port=1, url="http://x:1", instance_id="i", seq=1)
        samples = (ProcessStats(pid=pid, worker_id="w"),)
        colony.telemetry.update_hive_state(HiveHeartbeat(hive=info, timestamp=NOW, workers=samples))
    one = (await colony.look())["worker w"]
    assert one.status == "fail"
    assert "on a is heard, the one on b is not" in one.detail
    assert "--worker-id" in (one.remedy or "")


async def test_clocks_of_hives_that_are_forgotten_take_no_room(clock: Any) -> None:
    colony = Colony(clock)
    for number in range(1000):
        colony.beat(f"h{number}")
        colony.telemetry.remove_hive(f"h{number}")
    assert len(colony.clocks.skews) < 100
