"""Workers for a rush.  What a person asks for is tested with the operation ``load``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from rbee.contract import WorkerState
from rbee.queen.loads import Loads
from rbee.queen.names import Resolved
from rbee.scheduler import Wish
from rbee.settings import Settings
from unit.scheduler.test_place import hive, variant

FOUND = Resolved(name="m", variants=(variant(),), model_ids=("m",), trusted=True, whole=True)


class Demand:
    def __init__(self, *, comes: bool) -> None:
        self._comes = comes
        self.started: list[str] = []

    def comes(self, model_ids: tuple[str, ...], hive_id: str | None) -> bool:
        assert (model_ids, hive_id) == (("m",), "h")
        return self._comes

    async def ensure(self, model_ids: Any, start: Any, hive_id: str, tell: None, *, keep: bool) -> str:
        self.started.append(hive_id)
        return "new"


def loads(demand: Demand, **more: Any) -> Loads:
    telemetry = SimpleNamespace(
        find_workers_by_model=lambda _: [],
        get_worker=lambda _: SimpleNamespace(state=WorkerState.READY),
        is_routable=lambda _: True,
    )
    views = SimpleNamespace(hives=lambda _: [hive("h", held=frozenset({"m"}), **more)])
    none: Any = None
    return Loads(telemetry, none, views, none, demand, none, none, Settings())  # type: ignore[arg-type]  # as much of them as is asked for


async def test_a_rush_gets_a_worker_whose_id_is_told() -> None:
    demand = Demand(comes=False)
    assert await loads(demand).where_there_is_room(FOUND, Wish(hive_id="h")) == "new"
    assert demand.started == ["h"]


async def test_while_somebody_else_loads_the_model_none_is_started_for_a_rush() -> None:
    demand = Demand(comes=True)
    assert await loads(demand).where_there_is_room(FOUND, Wish(hive_id="h")) is None
    assert demand.started == []


@pytest.mark.parametrize("more", [{"threads_free": 0}, {"ram_free_bytes": 0}, {"online": False}])
async def test_nothing_is_started_for_a_rush_where_there_is_no_room(more: dict[str, Any]) -> None:
    demand = Demand(comes=False)
    assert await loads(demand, **more).where_there_is_room(FOUND, Wish(hive_id="h")) is None
    assert demand.started == []
