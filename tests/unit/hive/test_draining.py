"""A hive that is taken out of work, in front of real servers that stand for its workers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from rbee.clients import Credentials
from rbee.contract.errors import NoPlacementError
from rbee.contract.wire import WorkerDrain
from rbee.hive.draining import Draining
from rbee.http.ports import listen, port_of
from rbee.http.server import HttpServer


class Worker:
    """Remembers how it was told, and tells one open request while it drains."""

    def __init__(self) -> None:
        self.told: list[str] = []
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
        on = scope["method"] == "POST"
        answer = WorkerDrain(worker_id="w1", state="draining" if on else "ready", open_requests=int(on))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": msgspec.json.encode(answer)})


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    made = Worker()
    await made.server.start()
    yield made
    await made.server.stop()


@pytest.fixture
def draining(worker: Worker) -> Draining:
    return Draining("attic", lambda: {"w1": worker.url, "w2": "http://127.0.0.1:9"}, Credentials("t"))


async def test_its_workers_are_told_and_one_that_is_dead_keeps_no_other_from_it(
    draining: Draining, worker: Worker
) -> None:
    told = await draining.turn(on=True)
    assert (told.hive_id, told.operational_status, worker.told) == ("attic", "draining", ["POST /v1/drain"])
    first, second = told.workers
    assert (first.worker_id, first.state, first.open_requests, first.error) == ("w1", "draining", 1, None)
    assert (second.worker_id, second.state, second.open_requests) == ("w2", "unknown", None)
    assert second.error is not None
    assert "'w2'" in second.error


async def test_a_worker_that_comes_up_meanwhile_is_told_only_while_it_drains(
    draining: Draining, worker: Worker
) -> None:
    await draining.keep("w1", worker.url)
    assert worker.told == []
    await draining.turn(on=True)
    await draining.keep("w1", worker.url)
    assert worker.told == ["POST /v1/drain"] * 2


async def test_it_starts_nothing_until_it_works_again(draining: Draining, worker: Worker) -> None:
    draining.check()
    await draining.turn(on=True)
    with pytest.raises(NoPlacementError, match="rbee hive drain attic --undo"):
        draining.check()
    told = await draining.turn(on=False)
    assert (told.operational_status, worker.told[-1]) == ("ready", "DELETE /v1/drain")
    draining.check()
