"""The queen takes workers and hives out of work: at once in what she knows, and by word to real servers in their place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from rbee.clients import Credentials
from rbee.contract.errors import ConflictError, NotFoundError, RbeeError, UnreachableError, WorkerFailedError
from rbee.contract.types import WorkerState
from rbee.contract.wire import HiveDrain, Registration, WorkerBeat, WorkerDrain
from rbee.http.errors import render
from rbee.http.ports import listen, port_of
from rbee.http.server import HttpServer
from rbee.queen.drains import Drains
from rbee.queen.hives import Hives
from rbee.telemetry import TelemetryRegistry

NOBODY = "http://127.0.0.1:9"
"""Where nobody listens."""


class Listener:
    """A worker, or a hive that has it: notes how it was told, with which token, and what the queen knew by then."""

    def __init__(self, telemetry: TelemetryRegistry, *, hive: bool) -> None:
        self.told: list[str] = []
        self.tokens: set[str] = set()
        self.known: list[dict[str, WorkerState]] = []
        self.refusal: RbeeError | None = None
        self._telemetry = telemetry
        self._hive = hive
        sock = listen("127.0.0.1", 0, "a test")
        self.url = f"http://127.0.0.1:{port_of(sock)}"
        self.server = HttpServer(self, sock)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{message['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.told.append(f"{scope['method']} {scope['path']}")
        self.tokens.add(dict(scope["headers"])[b"authorization"].decode())
        self.known.append(states(self._telemetry))
        status, body = 200, msgspec.json.encode(self._answer(on=scope["method"] == "POST"))
        if self.refusal is not None:
            refused = render(self.refusal, openai=False)
            status, body = refused.status, refused.body
        head = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, *, on: bool) -> WorkerDrain | HiveDrain:
        state = "draining" if on else "ready"
        worker = WorkerDrain(worker_id="w1", state=state, open_requests=2 if on else 0)
        return HiveDrain(hive_id="attic", operational_status=state, workers=(worker,)) if self._hive else worker


def states(telemetry: TelemetryRegistry) -> dict[str, WorkerState]:
    return {entry.worker_id: entry.state for entry in telemetry.list_all_workers()}


def beat(telemetry: TelemetryRegistry, worker_id: str, url: str, status: str = "ready", **more: Any) -> None:
    facts = {"model_id": "m", "device": "CPU-0", "port": 1, "implementation": "mill", "version": "1"}
    telemetry.beat_worker(WorkerBeat(id=worker_id, status=status, url=url, **facts, **more))


@pytest.fixture
def telemetry(clock: Any) -> TelemetryRegistry:
    return TelemetryRegistry(clock)


@pytest.fixture
async def worker(telemetry: TelemetryRegistry) -> AsyncIterator[Listener]:
    made = Listener(telemetry, hive=False)
    await made.server.start()
    yield made
    await made.server.stop()


@pytest.fixture
async def hive(telemetry: TelemetryRegistry) -> AsyncIterator[Listener]:
    made = Listener(telemetry, hive=True)
    await made.server.start()
    yield made
    await made.server.stop()


@pytest.fixture
def drains(telemetry: TelemetryRegistry) -> Drains:
    return Drains(telemetry, Hives(telemetry, Credentials("t")), Credentials("t"))


async def test_a_worker_gets_no_more_requests_even_before_it_has_been_told(
    telemetry: TelemetryRegistry, drains: Drains, worker: Listener
) -> None:
    beat(telemetry, "w1", worker.url)
    beat(telemetry, "w2", worker.url)
    told = await drains.worker("w1", on=True)
    assert (told.worker_id, told.state, told.open_requests) == ("w1", "draining", 2)
    assert (worker.told, worker.tokens) == (["POST /v1/drain"], {"Bearer t"})
    assert worker.known == [{"w1": WorkerState.DRAINING, "w2": WorkerState.READY}]
    assert [entry.worker_id for entry in telemetry.list_routable_workers()] == ["w2"]


async def test_a_worker_gets_requests_again_only_once_it_says_so_itself(
    telemetry: TelemetryRegistry, drains: Drains, worker: Listener
) -> None:
    beat(telemetry, "w1", worker.url, "draining")
    told = await drains.worker("w1", on=False)
    assert (told.state, worker.told) == ("ready", ["DELETE /v1/drain"])
    assert states(telemetry) == {"w1": WorkerState.DRAINING}
    beat(telemetry, "w1", worker.url)
    assert states(telemetry) == {"w1": WorkerState.READY}


async def test_a_worker_that_loads_is_told_and_goes_on_loading(
    telemetry: TelemetryRegistry, drains: Drains, worker: Listener
) -> None:
    beat(telemetry, "w1", worker.url, "loading")
    await drains.worker("w1", on=True)
    assert worker.told == ["POST /v1/drain"]
    assert states(telemetry) == {"w1": WorkerState.LOADING}


async def test_a_worker_that_is_not_known_or_has_no_address_is_refused_with_the_next_step(
    telemetry: TelemetryRegistry, drains: Drains
) -> None:
    with pytest.raises(NotFoundError, match="'w1' is not known; `rbee ps`"):
        await drains.worker("w1", on=True)
    telemetry.register_worker(Registration(worker_id="w1", model="m", state="ready"))
    with pytest.raises(ConflictError, match="'w1' has not told its address yet; try again"):
        await drains.worker("w1", on=True)
    assert states(telemetry) == {"w1": WorkerState.READY}, "what was refused has changed nothing"


@pytest.mark.parametrize("on", [True, False])
async def test_a_worker_that_does_not_answer_is_named_and_gets_nothing_until_its_next_beat(
    telemetry: TelemetryRegistry, drains: Drains, *, on: bool
) -> None:
    beat(telemetry, "w1", NOBODY)
    with pytest.raises(UnreachableError, match="'w1'"):
        await drains.worker("w1", on=on)
    assert states(telemetry) == {"w1": WorkerState.DRAINING if on else WorkerState.READY}
    beat(telemetry, "w1", NOBODY)
    assert states(telemetry) == {"w1": WorkerState.READY}


async def test_what_a_worker_or_a_hive_refuses_is_told_as_it_said_it(
    telemetry: TelemetryRegistry, drains: Drains, worker: Listener, hive: Listener
) -> None:
    beat(telemetry, "w1", worker.url)
    telemetry.update_hive("attic", hive.url)
    worker.refusal = hive.refusal = WorkerFailedError("its engine has died")
    for refused in (drains.worker("w1", on=True), drains.hive("attic", on=True)):
        with pytest.raises(WorkerFailedError, match="its engine has died"):
            await refused


async def test_of_a_hive_all_workers_that_serve_get_nothing_more_and_those_of_others_go_on(
    telemetry: TelemetryRegistry, drains: Drains, hive: Listener
) -> None:
    for name in ("attic", "cellar"):
        telemetry.update_hive(name, hive.url)
    beat(telemetry, "serves", NOBODY, hive_id="attic")
    beat(telemetry, "works", NOBODY, "busy", hive_id="attic")
    beat(telemetry, "loads", NOBODY, "loading", hive_id="attic")
    beat(telemetry, "elsewhere", NOBODY, hive_id="cellar")
    beat(telemetry, "nowhere", NOBODY)
    told = await drains.hive("attic", on=True)
    assert (told.operational_status, [one.worker_id for one in told.workers]) == ("draining", ["w1"])
    assert (hive.told, hive.tokens) == (["POST /v1/drain"], {"Bearer t"})
    assert hive.known == [
        {
            "serves": WorkerState.DRAINING,
            "works": WorkerState.DRAINING,
            "loads": WorkerState.LOADING,
            "elsewhere": WorkerState.READY,
            "nowhere": WorkerState.READY,
        }
    ]


async def test_a_hive_is_put_back_to_work_and_its_workers_say_themselves_that_they_serve(
    telemetry: TelemetryRegistry, drains: Drains, hive: Listener
) -> None:
    telemetry.update_hive("attic", hive.url)
    beat(telemetry, "w1", NOBODY, "draining", hive_id="attic")
    told = await drains.hive("localhost", on=False)
    assert (told.hive_id, told.operational_status) == ("attic", "ready"), "the only one may be called so"
    assert hive.told == ["DELETE /v1/drain"]
    assert states(telemetry) == {"w1": WorkerState.DRAINING}


async def test_a_hive_that_is_not_online_changes_nothing_and_one_that_does_not_answer_is_named(
    telemetry: TelemetryRegistry, drains: Drains
) -> None:
    telemetry.update_hive("attic", NOBODY)
    beat(telemetry, "w1", NOBODY, hive_id="attic")
    with pytest.raises(NotFoundError, match="Online: attic"):
        await drains.hive("cellar", on=True)
    assert states(telemetry) == {"w1": WorkerState.READY}
    with pytest.raises(UnreachableError, match="'attic'"):
        await drains.hive("attic", on=True)
