"""Requests under way in a worker: counted, ended from outside, cut off."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest
from rbee.contract import (
    Availability,
    Backend,
    Capability,
    Endpoint,
    EngineStatus,
    LoadSpec,
    ModelVariant,
    ServedEngine,
)
from rbee.contract.errors import InvalidRequestError, WorkerFailedError, WorkerNotReadyError
from rbee.contract.types import WorkerState
from rbee.contract.wire import InferRequest
from rbee.http.guard import Guard
from rbee.worker import host as module
from rbee.worker.app import make_app
from rbee.worker.face import EngineFace, InferDelta
from rbee.worker.host import WorkerHost
from rbee.worker.infer import as_events, as_whole
from rbee.worker.served import ServedFace

SPEC = LoadSpec(
    model_id="m", model_path=None, variant=ModelVariant(model_id="m", name="m", vendor="v", format="f"), slots=1
)
ASKED = InferRequest(prompt="x")


class Idle(ServedEngine):
    name = "idle"
    formats = frozenset({"f"})
    backends = frozenset({Backend.CPU})
    capabilities = frozenset({Capability.CHAT})
    hangs: threading.Event | None = None
    lives = True

    @classmethod
    def availability(cls) -> Availability:
        return Availability(available=True)

    def start(self, spec: Any, report: Any) -> Endpoint:
        return Endpoint(url="http://127.0.0.1:9")

    def stop(self) -> None:
        if self.hangs is not None:
            self.hangs.wait(20)

    def status(self) -> EngineStatus:
        return EngineStatus()

    def alive(self) -> bool:
        return self.lives


class Face(EngineFace):
    """Says two words and then nothing for ever."""

    def __init__(self) -> None:
        self.lives = True
        self.closed = 0
        self.begin = True

    async def start(self, report: Any) -> int | None:
        return None

    async def stop(self) -> None:
        pass

    async def status(self) -> EngineStatus:
        return EngineStatus()

    def alive(self) -> bool:
        return self.lives

    async def openai(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            if self.begin:
                head = [(b"content-type", b"text/event-stream")]
                await send({"type": "http.response.start", "status": 200, "headers": head})
                await send({"type": "http.response.body", "body": b"data: {}\n\n", "more_body": True})
            await asyncio.Event().wait()
        finally:
            self.closed += 1

    async def infer(self, request: InferRequest, request_id: str) -> AsyncGenerator[InferDelta]:
        try:
            yield InferDelta(text="a")
            yield InferDelta(text="b")
            await asyncio.Event().wait()
        finally:
            self.closed += 1


@pytest.fixture
def face() -> Face:
    return Face()


@pytest.fixture
async def host(face: Face) -> WorkerHost:
    made = WorkerHost("w", Idle, face, SPEC, "http://127.0.0.1:1", None)
    await made.load(lambda _: None)
    return made


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_cancelled_stream_ends_with_one_event_that_says_so(host: WorkerHost, face: Face) -> None:
    told: list[dict[str, Any]] = []

    async def listen() -> None:
        events = as_events(host.infer(ASKED, "r"), "r", "m")
        while (event := await anext(events, None)) is not None:
            told.append(event)

    listening = asyncio.create_task(listen())
    await until(lambda: len(told) == 3)
    host.cancel("r")
    await listening
    assert [event["type"] for event in told] == ["started", "token", "token", "metrics", "end"]
    assert (told[-1]["stop_reason"], told[-1]["tokens_out"]) == ("CANCELLED", 2)
    assert face.closed == 1
    host.cancel("r")


async def test_a_cancelled_whole_answer_has_the_text_so_far(host: WorkerHost) -> None:
    answering = asyncio.create_task(as_whole(host.infer(ASKED, "r")))
    await asyncio.sleep(0.02)
    host.cancel("r")
    answer = await answering
    assert (answer.text, answer.stop_reason) == ("ab", "CANCELLED")


async def test_a_cancellation_between_two_pieces_counts(host: WorkerHost, face: Face) -> None:
    deltas = host.infer(ASKED, "r")
    assert (await anext(deltas)).text == "a"
    host.cancel("r")
    assert [delta.stop_reason async for delta in deltas] == ["CANCELLED"]
    assert face.closed == 1


async def test_a_task_that_is_cancelled_by_its_server_ends(host: WorkerHost, face: Face) -> None:
    answering = asyncio.create_task(as_whole(host.infer(ASKED, "r")))
    await asyncio.sleep(0.02)
    host.cancel("r")
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    assert face.closed == 1


async def test_requests_with_one_id_are_counted_and_ended_together(host: WorkerHost, face: Face) -> None:
    both = [asyncio.create_task(as_whole(host.infer(ASKED, "same"))) for _ in range(2)]
    await asyncio.sleep(0.02)
    draining = asyncio.create_task(host.drain(10))
    await asyncio.sleep(0.02)
    assert not draining.done()
    host.cancel("same")
    assert [(await one).stop_reason for one in both] == ["CANCELLED"] * 2
    await draining


async def test_draining_cuts_off_what_takes_too_long(host: WorkerHost) -> None:
    answering = asyncio.create_task(as_whole(host.infer(ASKED, "r")))
    await asyncio.sleep(0.02)
    await host.drain(0.01)
    assert (await answering).stop_reason == "CANCELLED"


async def test_an_invalid_request_is_refused_for_every_engine(host: WorkerHost) -> None:
    with pytest.raises(InvalidRequestError):
        await anext(host.infer(InferRequest(), "r"))


async def test_the_death_of_an_engine_is_noticed_and_ends_serving(
    host: WorkerHost, face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ALIVE_POLL_S", 0.01)
    watching = asyncio.create_task(host.engine_died())
    await asyncio.sleep(0.05)
    assert not watching.done()
    face.lives = False
    error = await watching
    assert host.state is WorkerState.FAILED
    with pytest.raises(WorkerFailedError):
        host.check_ready()
    assert "has died" in error.message


async def test_a_served_engine_that_died_and_one_that_hangs_in_stop(caplog: pytest.LogCaptureFixture) -> None:
    engine = Idle()
    face = ServedFace(engine, SPEC, "w", 1000)
    host = WorkerHost("w", Idle, face, SPEC, "http://127.0.0.1:1", None)
    assert not face.alive()
    await host.load(lambda _: None)
    assert face.alive()
    engine.lives = False
    assert not face.alive()
    engine.hangs = threading.Event()
    await host.stop(0.05)
    assert "leaving without it" in caplog.text
    engine.hangs.set()


# Litestar's next version wants another annotation of handlers in all four programs.
@pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")
@pytest.mark.parametrize("begun", [True, False])
async def test_a_cancelled_request_on_an_openai_route_has_a_proper_end(
    host: WorkerHost, face: Face, *, begun: bool
) -> None:
    face.begin = begun
    app = make_app(host, Guard(token=None, host="127.0.0.1", allowed_hosts=(), allowed_origins=()), 1000)
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    headers = [(b"host", b"127.0.0.1"), (b"x-request-id", b"r")]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers}
    serving = asyncio.create_task(app(scope, receive, send))
    await asyncio.sleep(0.02)
    host.cancel("r")
    await serving
    assert face.closed == 1
    assert sent[0]["status"] == (200 if begun else 499)
    assert not sent[-1].get("more_body", False)
    last = sent[-1]["body"].decode().removeprefix("data: ")
    assert json.loads(last)["error"]["code"] == "request_canceled"


async def test_times_are_those_of_decoding_and_of_the_calendar(host: WorkerHost) -> None:
    async def silent() -> AsyncGenerator[InferDelta]:
        yield InferDelta(stop_reason="EOS")

    told = [event async for event in as_events(silent(), "r", "m")]
    assert msgspec.json.decode(msgspec.json.encode(told[0]))["started_at"].endswith("Z")
    assert (told[1]["tokens_per_sec"], told[2]["decode_time_ms"]) == (None, None)


async def test_what_nobody_planned_is_one_error_event_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> AsyncGenerator[InferDelta]:
        yield InferDelta(text="a")
        raise ValueError("secret detail")

    told = [event async for event in as_events(broken(), "r", "m")]
    assert [event["type"] for event in told] == ["started", "token", "error"]
    assert "secret" not in told[-1]["message"]
    assert "secret detail" in caplog.text


async def test_a_worker_that_rests_refuses_and_goes_on_with_what_it_has(host: WorkerHost) -> None:
    with host.request("r1"):
        host.changed.clear()
        told = host.rest()
        assert (told.worker_id, told.state, told.open_requests) == (host.worker_id, "draining", 1)
        # Whoever waits for news of the worker tells the queen at once.
        assert host.changed.is_set()
        with pytest.raises(WorkerNotReadyError, match="draining") as caught, host.request("r2"):
            pass
        assert caught.value.retry_after_s == 5
    assert host.rest().open_requests == 0
    assert (await host.beat()).worker.status == "draining"
    assert host.resume().state == "ready"
    with host.request("r3"):
        assert host.open_requests == 1


class Gated(Face):
    """Loads until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()

    async def start(self, report: Any) -> int | None:
        await self.let.wait()
        return None


@pytest.mark.parametrize("undone", [False, True])
async def test_a_worker_that_is_told_while_it_loads_takes_nothing_once_it_has(*, undone: bool) -> None:
    face = Gated()
    host = WorkerHost("w", Idle, face, SPEC, "http://127.0.0.1:1", None)
    loading = asyncio.create_task(host.load(lambda _: None))
    await until(lambda: host.state is WorkerState.LOADING)
    told = host.rest()
    assert (told.state, told.open_requests) == ("loading", 0)
    if undone:
        assert host.resume().state == "loading"
    face.let.set()
    await loading
    assert host.state is (WorkerState.READY if undone else WorkerState.DRAINING)
    assert host.resume().state == "ready"


async def test_a_worker_that_is_about_to_end_does_not_come_back(host: WorkerHost) -> None:
    with host.request("r1"):
        ending = asyncio.create_task(host.drain(5.0))
        await asyncio.sleep(0)
        with pytest.raises(WorkerNotReadyError):
            host.resume()
    await ending


async def test_an_engine_that_dies_while_its_worker_rests_is_noticed(
    host: WorkerHost, face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ALIVE_POLL_S", 0.01)
    host.rest()
    face.lives = False
    await asyncio.wait_for(host.engine_died(), 5)
    assert (await host.beat()).worker.status == "failed"


class Slow(Face):
    """Takes for ever on every route."""

    async def openai(self, scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()


async def asked(host: WorkerHost, path: str, *headers: tuple[bytes, bytes]) -> tuple[int, dict[str, Any]]:
    app = make_app(host, Guard(token=None, host="127.0.0.1"), 1000)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "headers": [(b"host", b"localhost"), *headers]}
    await asyncio.wait_for(app(scope, receive, send), 10)
    return sent[0]["status"], json.loads(sent[1]["body"])["error"]


@pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")
async def test_a_request_whose_deadline_passes_is_ended_and_its_slot_is_free() -> None:
    host = WorkerHost("w", Idle, Slow(), SPEC, "http://127.0.0.1:1", None)
    await host.load(lambda _: None)
    status, error = await asked(host, "/v1/chat/completions", (b"x-request-deadline", b"20"))
    assert (status, error["code"]) == (408, "request_timeout")
    assert host.open_requests == 0


@pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")
@pytest.mark.parametrize("value", [b"soon", b"-1", b"0"])
async def test_a_deadline_that_is_none_is_refused(value: bytes) -> None:
    host = WorkerHost("w", Idle, Slow(), SPEC, "http://127.0.0.1:1", None)
    await host.load(lambda _: None)
    status, error = await asked(host, "/v1/chat/completions", (b"x-request-deadline", value))
    assert (status, error["param"]) == (400, "X-Request-Deadline")


@pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")
@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/rerank", "/v1/completions"])
async def test_a_route_that_the_worker_does_not_offer_is_refused(host: WorkerHost, path: str) -> None:
    status, error = await asked(host, path)
    assert (status, error["param"]) == (400, "model")
    assert "chat" in error["message"]
