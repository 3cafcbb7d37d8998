"""The picture of `rbee top`, and the words for a worker."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from rbee.cli.live import LiveColony
from rbee.cli.live_table import heading, render
from rbee.cli.worker_list import facts_of, slots_of, state_of, why_not_routable
from rbee.contract.errors import UnreachableError
from rbee.contract.types import WorkerState
from rbee.contract.wire import WorkerRecord
from rich.console import Console

INFO = {
    "url": "http://q:1",
    "version": "9",
    "uptime_s": 5,
    "hives": [{"hive_id": "h", "url": "http://h:1", "online": True, "health": "healthy", "age_s": 1.0}],
}


def worker(worker_id: str = "w", **facts: Any) -> WorkerRecord:
    unknown: dict[str, Any] = dict.fromkeys(WorkerRecord.__struct_fields__)
    known = {"worker_id": worker_id, "state": WorkerState.READY, "presence": "online", "routable": True}
    return WorkerRecord(**{**unknown, **known, **facts})


def beat(hive_id: str = "h", **fields: Any) -> bytes:
    return msgspec.json.encode({"type": "hive_telemetry", "hive_id": hive_id, **fields})


def text_of(live: LiveColony, now: float) -> str:
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(render(live, now))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def live() -> LiveColony:
    found = LiveColony()
    found.listed(INFO, [worker(hive_id="h", heartbeat_age_s=1.0, telemetry_age_s=0.5, uptime_s=10)], 100.0)
    return found


@pytest.mark.parametrize(
    ("health", "status", "shown"),
    [
        ("healthy", "draining", "draining"),
        ("healthy", "ready", "healthy"),
        ("healthy", None, "healthy"),
        ("down", "draining", "down"),
    ],
)
def test_a_hive_is_shown_as_it_drains_unless_it_is_down(health: str, status: str | None, shown: str) -> None:
    live = LiveColony()
    hive = {**INFO["hives"][0], "health": health, "operational_status": status}
    live.listed({**INFO, "hives": [hive]}, [], 100.0)
    assert f"h     {shown}" in text_of(live, 100.0)


def test_telemetry_makes_figures_fresh_and_leaves_the_others(live: LiveColony) -> None:
    stats = {"pid": 7, "worker_id": "w", "cpu_pct": 50.0, "rss_mb": 12, "uptime_s": 12}
    assert not live.told(beat(workers=[stats], node={"cpu_pct": 9.0}), 102.0)
    (one,) = live.workers(103.0)
    assert (one.cpu_pct, one.rss_mb, one.pid, one.uptime_s) == (50.0, 12, 7, 13)
    assert (one.telemetry_age_s, one.heartbeat_age_s) == (1.0, 4.0)
    (hive,) = live.hives(103.0)
    assert hive.node is not None
    assert (hive.node.cpu_pct, hive.age_s) == (9.0, 1.0)


@pytest.mark.parametrize(
    "line",
    [
        beat("other"),
        beat(workers=[{"pid": 1, "worker_id": "new"}]),
        msgspec.json.encode({"type": "queen", "worker_ids": ["new"], "hive_ids": ["h"]}),
        msgspec.json.encode({"type": "queen", "worker_ids": ["w"], "hive_ids": ["h", "i"]}),
    ],
)
def test_somebody_new_is_a_reason_to_ask(live: LiveColony, line: bytes) -> None:
    assert live.told(line, 101.0)


@pytest.mark.parametrize(
    "line",
    [
        beat(workers=[{"pid": 1, "worker_id": "w"}, {"pid": 2}]),
        msgspec.json.encode({"type": "queen", "worker_ids": [], "hive_ids": []}),
        msgspec.json.encode({"type": "of a later version"}),
    ],
)
def test_nobody_new_is_none(live: LiveColony, line: bytes) -> None:
    assert not live.told(line, 101.0)


@pytest.mark.parametrize("line", [b"", b"\xff\x00", b"[]", b'{"type": 3}', b'{"type": "hive_telemetry", "workers": 3}'])
def test_what_is_no_line_of_the_stream_is_an_error(live: LiveColony, line: bytes) -> None:
    with pytest.raises(UnreachableError):
        live.told(line, 101.0)


def test_what_is_no_list_is_an_error() -> None:
    with pytest.raises(UnreachableError):
        LiveColony().listed({"hives": 3}, [], 0.0)


def test_a_queen_who_is_away_leaves_figures_that_grow_old(live: LiveColony) -> None:
    live.away("No answer.", 110.0)
    live.away("Still none.", 115.0)
    assert heading(live, 120.0) == "The queen is away since 10s: Still none."
    assert live.workers(120.0)[0].heartbeat_age_s == 21.0
    assert "w " in text_of(live, 120.0)
    live.listed(INFO, [], 121.0)
    assert live.away_since is None


def test_the_heading_counts(live: LiveColony) -> None:
    assert heading(live, 100.0) == "queen http://q:1, up 5s: 1 hive, 1 worker, 1 taking requests"
    live.listed(INFO, [worker("a", tokens_per_second=1.5), worker("b", tokens_per_second=2.5, routable=False)], 100.0)
    assert heading(live, 100.0).endswith("1 hive, 2 workers, 1 taking requests, 4 tokens/s")


def test_the_table_shows_gpus_and_a_dash_for_the_unknown(live: LiveColony) -> None:
    gpu = {
        "id": "GPU-0",
        "util_pct": 40.0,
        "vram_used_mb": 2048,
        "vram_total_mb": 4096,
        "temp_c": 60.0,
        "power_w": 99.6,
    }
    live.told(beat(node={"gpus": [gpu]}), 100.0)
    shown = text_of(live, 100.0)
    assert "GPU-0 40 % 2.0 GiB of 4.0 GiB 60 °C 100 W" in shown
    assert "None" not in shown


def test_names_of_others_do_nothing_to_the_terminal(live: LiveColony) -> None:
    live.listed(INFO, [worker("w", model_name="[bold]\x1b[2Jx")], 100.0)
    assert "[bold]?[2Jx" in text_of(live, 100.0)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({}, None),
        ({"routable": False, "presence": "hung", "heartbeat_age_s": 20.0}, "hung: its process is there and it has not spoken for 20s"),
        ({"routable": False, "presence": "hung"}, "hung: its process is there and it has never spoken"),
        ({"routable": False, "presence": "offline", "heartbeat_age_s": 70.0}, "offline: not heard for 1m 10s, never measured"),
        ({"routable": False, "state": WorkerState.LOADING, "stage": "40 %"}, "loading: 40 %"),
        ({"routable": False, "state": WorkerState.DRAINING}, "its state is draining"),
    ],
)  # fmt: skip
def test_why_a_worker_takes_no_requests(facts: dict[str, Any], why: str | None) -> None:
    assert why_not_routable(worker(**facts)) == why


def test_silence_is_shown_in_place_of_the_state() -> None:
    assert state_of(worker(presence="unobserved")) == "ready"
    assert state_of(worker(presence="hung")) == "hung"
    assert state_of(worker(state=WorkerState.LOADING, stage="reading")) == "loading (reading)"


def test_slots_are_busy_of_all() -> None:
    assert slots_of(worker(slots_total=4, slots_available=1)) == "3/4"
    assert slots_of(worker(slots_total=4)) == "-"


def test_every_fact_of_a_worker_is_a_line_without_none() -> None:
    assert facts_of(worker(pinned=True), [])["kept"] == "pinned"
    assert facts_of(worker(unloads_in_s=90.0), [])["kept"] == "1m 30s left"
    facts = facts_of(worker(), [])
    assert "None" not in "".join(facts.values())
    assert facts_of(worker(device="GPU-0"), ["GPU-0 (Big)"])["device"] == "GPU-0 (Big)"
