"""The queen's choice of a hive, by name or the only one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec import convert
from rbee.clients import Credentials
from rbee.contract.errors import NotFoundError, UnavailableError
from rbee.contract.wire import LearnedMemory, WorkerSpawn, utc_now
from rbee.queen.hives import Hives
from rbee.scheduler import blank
from rbee.telemetry import TelemetryRegistry


class Counting(TelemetryRegistry):
    """Counts the lists of hives that are made."""

    lists = 0

    def list_active_hives(self) -> Any:
        self.lists += 1
        return super().list_active_hives()


@pytest.fixture
def telemetry(clock: Any) -> Counting:
    return Counting(clock)


@pytest.fixture
def hives(telemetry: Counting) -> Hives:
    return Hives(telemetry, Credentials())


def test_a_hive_is_chosen_by_its_name_or_because_it_is_the_only_one(telemetry: Counting, hives: Hives) -> None:
    with pytest.raises(UnavailableError, match="Online: none"):
        hives.choose(None)
    telemetry.update_hive("a", "http://a:1")
    assert [hives.choose(name) for name in (None, "a", "localhost")] == ["a", "a", "a"]
    telemetry.update_hive("b", "http://b:1")
    assert hives.choose("b") == "b"
    for name, error in ((None, UnavailableError), ("localhost", NotFoundError), ("c", NotFoundError)):
        with pytest.raises(error, match="Online: a, b"):
            hives.choose(name)


def test_a_hive_that_is_called_localhost_is_that(telemetry: Counting, hives: Hives) -> None:
    for name in ("a", "localhost"):
        telemetry.update_hive(name, f"http://{name}:1")
    assert hives.choose("localhost") == "localhost"


def test_a_message_names_some_hives_of_a_large_colony(telemetry: Counting, hives: Hives) -> None:
    for number in range(1000):
        telemetry.update_hive(f"h{number:04}", "http://h:1")
    with pytest.raises(NotFoundError, match=r"h0019 and 980 more\.") as error:
        hives.choose("x")
    assert len(error.value.message) < 300


async def test_a_job_that_waits_for_its_hive_lists_no_hives_with_each_beat(telemetry: Counting, hives: Hives) -> None:
    for number in range(3):
        telemetry.update_hive(f"h{number}", "http://h:1")
    waiting = asyncio.create_task(hives.wait_for("late", 10))
    for _ in range(5):
        await asyncio.sleep(0)
        hives.arrived()
    telemetry.update_hive("late", "http://l:1")
    hives.arrived()
    assert await waiting == "late"
    assert telemetry.lists == 0


def test_a_start_is_told_what_was_learned_of_its_model_and_nothing_else_is(telemetry: Counting) -> None:
    seen = blank("m", "e", "cpu", "a", utc_now())
    asked: list[tuple[str, str]] = []

    def learned(name: str, hive_id: str) -> tuple[LearnedMemory, ...]:
        asked.append((name, hive_id))
        return (seen,) * 300 if name == "known" else ()

    hives = Hives(telemetry, Credentials(), learned=learned)
    for operation in ("worker_spawn", "model_load"):
        body = hives.told("a", operation, {"model": "known", "learned": "somebody's"})
        assert convert(body, WorkerSpawn).learned == (seen,) * 256, "no more than a body may have"
    assert hives.told("a", "worker_spawn", {"model": "new", "learned": "somebody's"}) == {"model": "new"}
    assert asked == [("known", "a"), ("known", "a"), ("new", "a")]
    assert hives.told("a", "model_delete", {"model": "known"}) == {"model": "known"}
    assert len(asked) == 3
