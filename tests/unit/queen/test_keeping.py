"""How long workers stay while nobody asks them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from rbee.contract.errors import ConfigurationError, WorkerFailedError
from rbee.contract.wire import Registration, WorkerBeat
from rbee.queen.departures import Departures
from rbee.queen.keeping import Keeping, configured_keep_alive_s
from rbee.queen.standing import Standing, Standings
from rbee.queen.unloading import Unloading
from rbee.settings.model import QueenSettings, Settings
from rbee.telemetry import TelemetryRegistry


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Hives:
    def __init__(self) -> None:
        self.stopped: list[tuple[str, str]] = []
        self.trouble: Exception | None = None
        self.tries = 0

    async def run(
        self, hive_id: str, operation: str, fields: dict[str, Any], tell: Any, *, correlation_id: str | None = None
    ) -> dict[str, Any]:
        assert operation == "worker_process_delete"
        self.tries += 1
        if self.trouble is not None:
            raise self.trouble
        self.stopped.append((hive_id, fields["worker_id"]))
        return {}


class Desk:
    def __init__(self, path: Path, default_s: float) -> None:
        self.clock = Clock()
        self.telemetry = TelemetryRegistry(self.clock)
        self.standings = Standings(path / "standing.db")
        self.wanted: set[str] = set()
        self.keeping = Keeping(self.telemetry, self.standings, default_s, self.clock, wanted=self.wanted.__contains__)
        self.hives = Hives()
        self.departures = Departures(self.telemetry, self.hives)  # type: ignore[arg-type]  # all that is asked of it
        self.unloading = Unloading(self.keeping, self.departures)
        self._seq = 0

    def register(self, name: str = "w", spawned_by: str | None = "hive-h") -> None:
        self.telemetry.register_worker(
            Registration(
                component_type="worker", component_id=name, url="http://127.0.0.1:1", spawned_by=spawned_by,
                state="loading",
            )
        )  # fmt: skip

    def worker(
        self,
        name: str = "w",
        model: str = "m",
        busy: int = 0,
        spawned_by: str | None = "hive-h",
        status: str = "ready",
    ) -> None:
        self._seq += 1
        if self.telemetry.get_worker(name) is None:
            self.register(name, spawned_by)
        self.telemetry.beat_worker(
            WorkerBeat(
                id=name, model_id=model, device="CPU-0", port=1, status=status, implementation="e", version=None,
                instance_id="i", seq=self._seq, slots_total=2, slots_available=2 - busy, hive_id="h",
            )
        )  # fmt: skip

    def due(self) -> list[str]:
        return [entry.worker_id for entry in self.keeping.due()]

    def left(self, name: str = "w") -> float | None:
        entry = self.telemetry.get_worker(name)
        assert entry is not None
        return self.keeping.left_s(entry)


@pytest.fixture
def make(tmp_path: Path):
    return lambda default_s=-1.0: Desk(tmp_path, default_s)


def test_for_ever_is_for_ever(make) -> None:
    desk = make()
    desk.worker()
    desk.clock.now += 1e6
    desk.worker()
    assert desk.due() == []
    assert desk.left() is None


def test_the_colonys_word_counts_where_nobody_else_says_anything(make) -> None:
    desk = make(10.0)
    desk.worker()
    assert (desk.due(), desk.left()) == ([], 10.0)
    desk.clock.now += 9.5
    desk.worker()
    assert desk.left() == pytest.approx(0.5)
    desk.clock.now += 0.5
    assert desk.due() == ["w"]


async def test_a_models_own_word_counts_before_the_colonys_and_a_requests_before_both(make) -> None:
    desk = make(10.0)
    desk.worker()
    await desk.standings.put(Standing(model_id="m", keep_alive_s=50.0))
    assert desk.left() == 50.0
    desk.keeping.said("w", 5.0)
    desk.keeping.said("w", None)
    assert desk.left() == 5.0
    desk.keeping.said("w", -1.0)
    assert desk.left() is None
    await desk.standings.close()


async def test_a_pinned_model_stays_whatever_a_request_says(make) -> None:
    desk = make(1.0)
    desk.worker()
    await desk.standings.put(Standing(model_id="m", pinned=True))
    desk.keeping.said("w", 0.0)
    desk.clock.now += 5
    assert (desk.due(), desk.left()) == ([], None)
    await desk.standings.forget("m")
    assert desk.due() == ["w"]
    await desk.standings.close()


def test_one_that_is_asked_is_not_due_and_its_time_begins_when_that_ends(make) -> None:
    desk = make(3.0)
    desk.worker()
    desk.telemetry.reserve("w")
    desk.clock.now += 10
    desk.worker()
    assert (desk.due(), desk.left()) == ([], 3.0)
    desk.telemetry.release("w")
    assert (desk.due(), desk.left()) == ([], 3.0)
    desk.clock.now += 3
    assert desk.due() == ["w"]


def test_the_time_begins_when_the_model_is_loaded_and_not_anew_with_each_registration(make) -> None:
    desk = make(3.0)
    desk.worker(status="loading")
    desk.clock.now += 10
    desk.worker()
    assert (desk.due(), desk.left()) == ([], 3.0)
    desk.clock.now += 2
    desk.register()
    assert desk.left() == 1.0


def test_one_that_others_ask_without_the_queen_is_not_due(make) -> None:
    desk = make(1.0)
    desk.worker(busy=1)
    desk.clock.now += 5
    assert desk.due() == []


def test_a_worker_of_somebody_else_is_not_ours_to_stop(make) -> None:
    desk = make(1.0)
    desk.worker(spawned_by="systemd")
    desk.clock.now += 5
    assert (desk.due(), desk.left()) == ([], None)


async def test_who_is_due_is_stopped_once_by_its_hive(make) -> None:
    desk = make(0.0)
    desk.worker()
    desk.unloading.sweep()
    desk.unloading.sweep()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert desk.hives.stopped == [("h", "w")]
    assert desk.telemetry.get_worker("w") is None
    await desk.unloading.close()


async def test_one_that_cannot_be_stopped_serves_again(make, caplog) -> None:
    desk = make(0.0)
    desk.worker()
    desk.hives.trouble = WorkerFailedError("it does not want to")
    desk.unloading.sweep()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert desk.telemetry.find_idle_workers() != []
    assert "it does not want to" in caplog.text
    assert desk.hives.tries == 1
    desk.unloading.sweep()
    await asyncio.sleep(0)
    assert desk.hives.tries == 1, "it is left alone for a while"
    await desk.unloading.close()


async def test_a_request_that_wants_its_model_gone_has_it_stopped_at_once(make) -> None:
    desk = make()
    desk.worker()
    desk.keeping.said("w", 0.0)
    desk.unloading.sweep_soon()
    desk.unloading.sweep_soon()
    for _ in range(4):
        await asyncio.sleep(0)
    assert desk.hives.stopped == [("h", "w")]
    await desk.unloading.close()


def test_a_worker_for_a_rush_goes_when_that_is_over_and_the_others_stay(make) -> None:
    desk = make()
    desk.keeping = Keeping(desk.telemetry, desk.standings, -1.0, desk.clock, rush_s=30.0)
    for name in ("old", "new"):
        desk.worker(name)
    desk.keeping.rushed({"new"})
    assert (desk.left("old"), desk.left("new")) == (None, 30.0)
    desk.keeping.said("new", 5.0)
    assert desk.left("new") == 5.0
    desk.clock.now += 40
    for name in ("old", "new"):
        desk.worker(name)
    assert desk.due() == ["new"]
    desk.keeping.forget(lambda worker_id: worker_id != "new")
    assert desk.due() == []


def test_a_model_for_which_somebody_waits_stays(make) -> None:
    desk = make(0.0)
    desk.worker()
    desk.wanted.add("m")
    assert desk.due() == []
    desk.wanted.clear()
    assert desk.due() == ["w"]


def test_words_for_workers_that_are_gone_are_forgotten(make) -> None:
    desk = make()
    desk.worker()
    desk.keeping.said("w", 0.0)
    desk.keeping.forget(lambda worker_id: worker_id != "w")
    assert desk.due() == []


async def test_what_was_said_of_models_survives_and_nothing_said_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "standing.db"
    standings = Standings(path)
    await standings.open()
    await standings.put(Standing(model_id="m"))
    assert not path.exists()
    pinned = Standing(model_id="m", pinned=True, keep_alive_s=5.0)
    await standings.put(pinned)
    await standings.put(Standing(model_id="n", keep_alive_s=-1.0))
    await standings.put(Standing(model_id="n"))
    await standings.close()
    again = Standings(path)
    await again.open()
    assert (again.of("m"), again.of("n"), again.of(None)) == (pinned, None, None)
    await again.close()


def test_a_setting_that_is_no_span_of_time_is_named() -> None:
    assert configured_keep_alive_s(Settings()) == -1.0
    with pytest.raises(ConfigurationError, match=r"queen\.keep_alive: 'soon' is no span of time"):
        configured_keep_alive_s(Settings(queen=QueenSettings(keep_alive="soon")))
