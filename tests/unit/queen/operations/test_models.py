"""Operations on models at the queen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from rbee.catalog import Resolver, Searches
from rbee.clients import Credentials
from rbee.contract import CancelToken, FetchProgress, ModelHit, ModelVariant, ModelVendor
from rbee.contract.errors import InvalidRequestError, NotFoundError, UnreachableError
from rbee.contract.wire import ModelsFound
from rbee.jobs import Narrator, Operation
from rbee.queen.hives import Hives
from rbee.queen.operations import Benching, Forwards, Inference, Loading, Models, Operations, QueenChecks
from rbee.telemetry import TelemetryRegistry


class Searchable(ModelVendor):
    """Finds what the test says."""

    def __init__(self, name: str, find: Callable[[int], Sequence[ModelHit]]) -> None:
        self.name = name  # type: ignore[misc]
        self.find = find
        self.asked: list[tuple[str, int]] = []

    def supports(self, ref: str) -> bool:
        return False

    def resolve(self, ref: str) -> Sequence[ModelVariant]:
        raise AssertionError("nothing is resolved")

    def fetch(self, variant: ModelVariant, destination: Path, progress: FetchProgress, cancel: CancelToken) -> None:
        raise AssertionError("nothing is fetched")

    def search(self, text: str, limit: int) -> Sequence[ModelHit]:
        self.asked.append((text, limit))
        return self.find(limit)


def hits(vendor: str, count: int) -> list[ModelHit]:
    return [ModelHit(name=f"{vendor}/{number}", vendor=vendor) for number in range(count)]


def raising(error: Exception) -> Callable[[int], Sequence[ModelHit]]:
    def find(_limit: int) -> Sequence[ModelHit]:
        raise error

    return find


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


def models(clock: Any, *vendors: ModelVendor, search_s: float = 10.0, plans: Any = None) -> Models:
    return Models(plans, Searches(Resolver(vendors), search_s), Hives(TelemetryRegistry(clock), Credentials()))


async def search(found: Models, said: list[str | None] | None = None, **body: Any) -> ModelsFound:
    told = [] if said is None else said
    say = Narrator("job-1", None, lambda event: told.append(event.human))
    return await found.model_search({"operation": "model_search", "query": "tiny", **body}, say)


async def test_all_vendors_are_asked_and_a_failing_one_is_told(clock, caplog) -> None:
    said: list[str | None] = []
    good = Searchable("good", lambda limit: hits("good", 2))
    found = await search(
        models(
            clock,
            good,
            Searchable("down", raising(UnreachableError("down does not answer"))),
            Searchable("broken", raising(ValueError("oh"))),
            Searchable("silent", lambda limit: ()),
        ),
        said,
        limit=5,
    )
    assert [hit.name for hit in found.models] == ["good/0", "good/1"]
    assert found.failed["down"] == "down does not answer"
    assert "ValueError('oh')" in found.failed["broken"]
    assert set(found.failed) == {"down", "broken"}
    assert good.asked == [("tiny", 5)]
    assert "down could not be asked: down does not answer" in said
    assert "'broken'" in caplog.text


async def test_one_that_hangs_keeps_nobody_waiting(clock, gate: threading.Event) -> None:
    hanging = Searchable("hanging", lambda limit: gate.wait(20) and ())
    found = await search(models(clock, hanging, Searchable("good", lambda limit: hits("good", 1)), search_s=0.05))
    assert [hit.name for hit in found.models] == ["good/0"]
    assert found.failed == {"hanging": "it did not answer within 0.05 s"}


async def test_where_there_are_too_many_each_vendor_has_its_share(clock) -> None:
    vendors = [Searchable(name, lambda limit, name=name: hits(name, 9)) for name in ("a", "b")]
    found = await search(models(clock, *vendors, Searchable("c", lambda limit: hits("c", 1))), limit=6)
    assert [hit.name for hit in found.models] == ["a/0", "a/1", "a/2", "b/0", "b/1", "c/0"]


@pytest.mark.parametrize("body", [{"query": ""}, {"query": "x" * 201}, {"limit": 0}, {"limit": 101}, {"frob": 1}])
async def test_a_search_that_makes_no_sense_asks_nobody(clock, body: dict[str, Any]) -> None:
    vendor = Searchable("good", lambda limit: hits("good", 1))
    with pytest.raises(InvalidRequestError):
        await search(models(clock, vendor), **body)
    assert vendor.asked == []


async def test_a_plan_for_a_hive_that_is_not_there_is_not_made(clock) -> None:
    plans = AsyncMock()
    say = Narrator("job-1", None, lambda event: None)
    found = models(clock, plans=plans)
    with pytest.raises(NotFoundError, match="'ghost' is not online"):
        await found.model_plan({"operation": "model_plan", "model": "m", "hive_id": "ghost"}, say)
    await found.model_plan({"operation": "model_plan", "model": "m"}, say)
    assert plans.plan.await_args.args[1] is None


async def test_a_search_that_names_a_hive_is_the_hives(clock) -> None:
    vendor = Searchable("queens", lambda limit: hits("queens", 1))
    asked: list[dict[str, Any]] = []

    async def on_hive(body: dict[str, Any], _say: Narrator) -> dict[str, Any]:
        asked.append(body)
        return {"models": [], "failed": {}}

    forwards = Mock()
    forwards.operations.return_value = {"model_search": Operation(handler=on_hive)}
    nothing: Any = Mock()
    operations = Operations(nothing, forwards, nothing, nothing, models(clock, vendor), nothing, nothing, list)
    search = operations.operations()["model_search"].handler
    say = Narrator("job-1", None, lambda event: None)
    body = {"operation": "model_search", "query": "tiny"}
    await search(body, say)
    assert (len(vendor.asked), asked) == (1, [])
    await search({**body, "hive_id": "b"}, say)
    assert (len(vendor.asked), asked) == (1, [{**body, "hive_id": "b"}])


def test_a_plan_is_not_begun_again_after_a_crash_when_no_hive_has_told_of_itself_yet(clock) -> None:
    nothing: Any = None
    telemetry = TelemetryRegistry(clock)
    loading = Loading(telemetry, nothing, nothing, nothing, nothing, nothing)
    forwards = Forwards(telemetry, Hives(telemetry, Credentials()))
    inference = Inference(nothing, nothing, None, lambda record: None)
    checks = QueenChecks(telemetry, nothing, nothing, None, None, AsyncMock())
    benching = Benching(telemetry, nothing, nothing, nothing)
    operations = Operations(telemetry, forwards, inference, checks, models(clock), loading, benching, list).operations()
    assert (operations["model_plan"].resumable, operations["model_search"].resumable) == (False, True)
