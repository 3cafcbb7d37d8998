"""Operations of hives, handed on by the queen."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rbee.clients import Credentials
from rbee.contract.errors import InvalidRequestError, NotFoundError, UnavailableError
from rbee.contract.wire import HiveHeartbeat, HiveInfo, Registration, utc_now
from rbee.jobs import Narrator
from rbee.queen.hives import Hives
from rbee.queen.operations import Forwards
from rbee.telemetry import Limits, TelemetryRegistry


class Queen:
    """Forwards over a real telemetry registry; what would go to a hive is remembered."""

    def __init__(self, clock: Any) -> None:
        self.telemetry = TelemetryRegistry(clock, Limits(), lambda _model: None)
        self.hives = Hives(self.telemetry, Credentials())
        self.sent: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = []
        self.hives.run = self._run  # type: ignore[method-assign,assignment]
        self.changed: list[str] = []
        self.operations = Forwards(self.telemetry, self.hives, 0.05, self._changed).operations()
        self.said: list[str | None] = []

    async def _run(self, hive_id: str, operation: str, fields: dict[str, Any], tell: Any, **how: Any) -> dict[str, Any]:
        self.sent.append((hive_id, operation, fields, how))
        return {"from": hive_id}

    async def _changed(self, hive_id: str) -> None:
        self.changed.append(hive_id)

    def beat(self, hive_id: str) -> None:
        info = HiveInfo(id=hive_id, hostname="x", port=1, url="http://x:1", instance_id="i", seq=1)
        self.telemetry.update_hive_state(HiveHeartbeat(hive=info, timestamp=utc_now()))
        self.hives.arrived()

    async def do(self, operation: str, resumed: int = 0, **fields: Any) -> Any:
        say = Narrator("job-1", "cor-1", lambda event: self.said.append(event.human), resumed)
        return await self.operations[operation].handler({"operation": operation, **fields}, say)


@pytest.fixture
def queen(clock: Any) -> Queen:
    return Queen(clock)


async def test_an_operation_goes_to_the_hive_that_is_named_with_its_ids(queen: Queen) -> None:
    queen.beat("a")
    queen.beat("b")
    assert await queen.do("model_get", hive_id="b", model="m") == {"from": "b"}
    how = {"correlation_id": "cor-1", "key": "job-1:model_get", "patient": True}
    assert queen.sent == [("b", "model_get", {"model": "m"}, how)]
    with pytest.raises(UnavailableError, match="Name one hive"):
        await queen.do("model_list")
    with pytest.raises(NotFoundError, match="'c' is not online"):
        await queen.do("model_list", hive_id="c")


def test_what_is_begun_again_goes_to_the_same_hive_and_worker(queen: Queen) -> None:
    queen.beat("a")
    spawn = queen.operations["worker_spawn"]
    completed = spawn.complete({"operation": "worker_spawn", "model": "m"})
    assert completed["hive_id"] == "a"
    assert completed["worker_id"].startswith("worker-")
    assert spawn.complete(completed) == completed
    assert spawn.resumable


def test_only_what_does_no_harm_twice_is_resumed(queen: Queen) -> None:
    once = {name for name, operation in queen.operations.items() if not operation.resumable}
    assert once == {"worker_install", "worker_remove", "worker_process_delete"}


async def test_a_resumed_job_waits_for_its_hive(queen: Queen) -> None:
    work = asyncio.create_task(queen.do("model_delete", resumed=1, hive_id="a", model="m"))
    await asyncio.sleep(0)
    assert not queen.sent
    queen.beat("a")
    await work
    assert queen.sent[0][2] == {"model": "m", "missing_ok": True}, "it may have been done already"
    assert queen.said == ["Hive a is online; going on there"]


async def test_a_hive_that_does_not_come_back_fails_the_job(queen: Queen) -> None:
    with pytest.raises(UnavailableError, match=r"Hive 'a' did not come online within 0\.05 s"):
        await queen.do("model_load", resumed=1, hive_id="a", model="m")


async def test_a_worker_is_stopped_on_whichever_hive_has_it(queen: Queen) -> None:
    queen.beat("a")
    queen.beat("b")
    queen.telemetry.register_worker(Registration(worker_id="w", url="http://x:2", model="m", hive_id="b"))
    await queen.do("worker_process_delete", worker_id="w", force=True)
    assert queen.sent[0][:3] == ("b", "worker_process_delete", {"worker_id": "w", "force": True})
    assert queen.telemetry.get_worker("w") is None
    with pytest.raises(NotFoundError, match="'w' is not known"):
        await queen.do("worker_process_get", worker_id="w")
    with pytest.raises(InvalidRequestError, match="'worker_id' is missing"):
        await queen.do("worker_process_delete")


async def test_what_changes_the_models_of_a_hive_is_known_before_it_ends(queen: Queen) -> None:
    queen.beat("a")
    for operation in ("model_get", "model_list", "model_verify"):
        await queen.do(operation, model="m")
    assert queen.changed == []
    for operation in ("model_download", "model_delete", "model_load"):
        await queen.do(operation, model="m")
    assert queen.changed == ["a", "a", "a"]
