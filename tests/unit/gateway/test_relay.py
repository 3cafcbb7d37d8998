"""The relay as an ASGI application, in front of real workers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from rbee.contract.errors import NoPlacementError, RbeeError
from rbee.contract.wire import RequestRecord
from rbee.gateway import AsgiRelay, Dispatcher, Lease, Outcome, Pool, Route, Target
from rbee.http.errors import render

PATIENCE_S = 10
BODY = b'{"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]}'
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
WHOLE = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nserver: w\r\ncontent-length: 7\r\n\r\n{"a":1}'


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class HeldLease(Lease):
    def __init__(self, worker_id: str, target: Target) -> None:
        self.worker_id = worker_id
        self.target = target
        self.outcomes: list[Outcome] = []

    def finish(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


class Places(Dispatcher):
    """Gives the targets one after the other; without one left, there is no place, or waiting without end."""

    def __init__(self, *targets: Target, wait: bool = False) -> None:
        self.targets = list(targets)
        self.leases: list[HeldLease] = []
        self.routes: list[Route] = []
        self.wait = wait
        self.asked = asyncio.Event()

    async def acquire(self, route: Route) -> Lease:
        self.routes.append(route)
        self.asked.set()
        if self.wait:
            await asyncio.Event().wait()
        if not self.targets:
            raise NoPlacementError("there is no place for 'm'")
        self.leases.append(HeldLease(f"w{len(self.leases)}", self.targets.pop(0)))
        return self.leases[-1]


class Client:
    """One request as an ASGI server would bring it."""

    def __init__(
        self, pool: Pool, places: Places, body: bytes = BODY, headers: Any = (), max_body: int = 10_000
    ) -> None:
        self.records: list[RequestRecord] = []
        self.sent: list[dict[str, Any]] = []
        self.some = asyncio.Event()
        self.gone = asyncio.Event()
        self._body: list[bytes] = [body]
        self._headers = list(headers)
        self.relay = AsgiRelay(places, pool, self._render, max_body, self.records.append)

    @staticmethod
    def _render(error: RbeeError, request_id: str) -> Any:
        answer = render(error, openai=True, correlation_id=request_id)
        return answer.status, answer.headers, answer.body

    async def _receive(self) -> dict[str, Any]:
        if self._body:
            return {"type": "http.request", "body": self._body.pop(0), "more_body": bool(self._body)}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if message.get("body"):
            self.some.set()

    async def run(self) -> Client:
        scope = {"headers": self._headers}
        async with asyncio.timeout(PATIENCE_S):
            await self.relay(scope, self._receive, self._send, path="/v1/chat/completions", request_id="req-1")
        return self

    @property
    def status(self) -> int:
        return self.sent[0]["status"]

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def error(self) -> dict[str, Any]:
        return json.loads(self.body)["error"]

    @property
    def ended(self) -> bool:
        return self.sent[-1].get("more_body", False) is False


async def take(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length"))
    return head, await reader.readexactly(length)


def answering(*parts: bytes, seen: list[tuple[bytes, bytes]] | None = None):
    async def handle(reader, writer) -> None:
        request = await take(reader)
        if seen is not None:
            seen.append(request)
        for part in parts:
            writer.write(part)
            await writer.drain()

    return handle


@pytest.mark.parametrize(
    ("body", "param", "told"),
    [
        (b'{"messages": []}', "model", "lacks 'model'"),
        (b'{"model": ""}', "model", "must not be empty"),
        (b'{"model": 7}', "model", "model"),
        (b'{"model": "m", "stream": "yes"}', "stream", "stream"),
        (b"{", None, "not JSON"),
        (b"\xff\xfe", None, "not JSON"),
        (b"[]", None, "body"),
        (b"", None, "not JSON"),
    ],
)
async def test_a_body_that_cannot_be_routed_is_refused(pool: Pool, body: bytes, param: str | None, told: str) -> None:
    places = Places()
    client = await Client(pool, places, body).run()
    assert client.status == 400
    assert client.error["param"] == param
    assert told in client.error["message"]
    assert client.error["type"] == "invalid_request_error"
    assert places.routes == []
    assert (client.records[0].status, client.records[0].error_code) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize("headers", [[(b"content-length", b"10001")], []], ids=["announced", "not announced"])
async def test_too_large_a_body_is_refused(pool: Pool, headers: list) -> None:
    client = await Client(pool, Places(), b"x" * 10_001, headers).run()
    assert (client.status, client.error["code"]) == (413, "payload_too_large")


async def test_a_compressed_body_is_refused(pool: Pool) -> None:
    client = await Client(pool, Places(), BODY, [(b"content-encoding", b"gzip")]).run()
    assert client.status == 400
    assert "gzip" in client.error["message"]


async def test_no_place_is_told_with_retry_after(pool: Pool) -> None:
    client = await Client(pool, Places()).run()
    assert (client.status, client.error["code"]) == (503, "no_placement")
    assert int(client.headers[b"retry-after"]) > 0
    assert client.headers[b"x-request-id"] == b"req-1"


async def test_a_whole_answer_comes_back_as_it_was(serve, pool: Pool) -> None:
    places = Places(await serve(answering(WHOLE)))
    client = await Client(pool, places).run()
    assert (client.status, client.body, client.ended) == (200, b'{"a":1}', True)
    assert client.headers[b"content-type"] == b"application/json"
    assert client.headers[b"x-request-id"] == b"req-1"
    assert b"server" not in client.headers
    (route,) = places.routes
    assert (route.request_id, route.path, route.model, route.stream) == ("req-1", "/v1/chat/completions", "m", True)
    (outcome,) = places.leases[0].outcomes
    assert outcome.reached is True
    assert outcome.first_byte_s > 0
    record = client.records[0]
    assert (record.worker_id, record.status, record.error_code, record.bytes_out) == ("w0", 200, None, 7)


async def test_events_are_passed_on_as_they_come(serve, pool: Pool) -> None:
    go = asyncio.Event()

    async def handle(reader, writer) -> None:
        await take(reader)
        writer.write(EVENTS + chunk(b"data: 1\n\n"))
        await go.wait()
        writer.write(chunk(b"data: 2\n\n") + chunk(b""))

    client = Client(pool, Places(await serve(handle)))
    running = asyncio.create_task(client.run())
    await asyncio.wait_for(client.some.wait(), PATIENCE_S)
    assert client.body == b"data: 1\n\n"
    go.set()
    await running
    assert (client.body, client.ended) == (b"data: 1\n\ndata: 2\n\n", True)
    assert client.headers[b"x-accel-buffering"] == b"no"


async def test_the_workers_own_refusal_is_passed_on(serve, pool: Pool) -> None:
    answer = b"HTTP/1.1 422 No\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    client = await Client(pool, Places(await serve(answering(answer)))).run()
    assert (client.status, client.body) == (422, b"{}")


async def test_secrets_and_hop_headers_stay_here_and_the_rest_goes_on(serve, pool: Pool) -> None:
    seen: list[tuple[bytes, bytes]] = []
    target = await serve(answering(WHOLE, seen=seen))
    target = Target(host=target.host, port=target.port, headers=((b"authorization", b"Bearer colony"),))
    headers = [
        (b"authorization", b"Bearer client"),
        (b"x-api-key", b"key"),
        (b"cookie", b"c=1"),
        (b"connection", b"keep-alive"),
        (b"transfer-encoding", b"chunked"),
        (b"host", b"outside"),
        (b"x-request-id", b"forged"),
        (b"accept-language", b"de"),
        (b"content-type", b"application/json"),
    ]
    await Client(pool, Places(target), BODY, headers).run()
    head, body = seen[0]
    lines = head.split(b"\r\n")
    assert body == BODY
    assert lines[0] == b"POST /v1/chat/completions HTTP/1.1"
    for gone in (b"client", b"x-api-key", b"cookie", b"transfer-encoding", b"outside", b"forged", b"connection"):
        assert gone not in head
    for kept in (b"authorization: Bearer colony", b"accept-language: de", b"x-request-id: req-1"):
        assert lines.count(kept) == 1


async def test_a_client_that_leaves_closes_the_line_and_gives_the_slot_back(serve, pool: Pool) -> None:
    closed = asyncio.Event()

    async def handle(reader, writer) -> None:
        await take(reader)
        writer.write(EVENTS + chunk(b"data: 1\n\n"))
        await reader.read()
        closed.set()

    places = Places(await serve(handle))
    client = Client(pool, places)
    running = asyncio.create_task(client.run())
    await asyncio.wait_for(client.some.wait(), PATIENCE_S)
    client.gone.set()
    await asyncio.wait_for(closed.wait(), PATIENCE_S)
    await running
    assert [outcome.reached for outcome in places.leases[0].outcomes] == [True]
    assert (client.records[0].status, client.records[0].error_code) == (499, "REQUEST_CANCELED")


async def test_a_client_that_leaves_before_the_answer_closes_the_line_too(serve, pool: Pool) -> None:
    asked, closed = asyncio.Event(), asyncio.Event()

    async def handle(reader, writer) -> None:
        await take(reader)
        asked.set()
        await reader.read()
        closed.set()

    places = Places(await serve(handle))
    client = Client(pool, places)
    running = asyncio.create_task(client.run())
    await asyncio.wait_for(asked.wait(), PATIENCE_S)
    client.gone.set()
    await asyncio.wait_for(closed.wait(), PATIENCE_S)
    await running
    assert len(places.leases) == 1
    assert [outcome.reached for outcome in places.leases[0].outcomes] == [True]
    assert client.records[0].status == 499


async def test_a_client_that_leaves_while_it_waits_for_a_place_stops_waiting(pool: Pool) -> None:
    places = Places(wait=True)
    client = Client(pool, places)
    running = asyncio.create_task(client.run())
    await places.asked.wait()
    client.gone.set()
    await running
    assert client.sent == []
    assert client.records[0].status == 499


async def test_a_worker_that_dies_between_tokens_leaves_one_error_event(serve, pool: Pool) -> None:
    places = Places(await serve(answering(EVENTS + chunk(b"data: 1\n\n"))))
    client = await Client(pool, places).run()
    first, last = client.body.strip().split(b"\n\n")
    assert first == b"data: 1"
    error = json.loads(last.removeprefix(b"data: "))["error"]
    assert error["code"] == "worker_failed"
    assert "'w0'" in error["message"]
    assert (client.status, client.ended) == (200, True)
    assert [outcome.reached for outcome in places.leases[0].outcomes] == [False]
    assert client.records[0].error_code == "WORKER_FAILED"


async def test_a_worker_that_dies_in_a_whole_answer_leaves_a_proper_error(serve, pool: Pool) -> None:
    client = await Client(pool, Places(await serve(answering(WHOLE[:-3])))).run()
    assert (client.status, client.error["code"]) == (503, "no_placement")


async def test_a_worker_that_dies_before_the_first_byte_is_replaced_unnoticed(serve, pool: Pool) -> None:
    places = Places(await serve(answering()), await serve(answering(WHOLE)))
    client = await Client(pool, places).run()
    assert (client.status, client.body) == (200, b'{"a":1}')
    assert [[outcome.reached for outcome in lease.outcomes] for lease in places.leases] == [[False], [True]]
    assert client.records[0].worker_id == "w1"


async def test_after_three_dead_workers_it_gives_up(serve, pool: Pool) -> None:
    dead = await serve(answering())
    places = Places(dead, dead, dead, dead)
    client = await Client(pool, places).run()
    assert (client.status, client.error["code"]) == (500, "worker_failed")
    assert len(places.leases) == 3
    assert all(len(lease.outcomes) == 1 for lease in places.leases)


async def test_the_unexpected_is_told_without_its_insides(pool: Pool, caplog) -> None:
    class Broken(Places):
        async def acquire(self, route: Route) -> Lease:
            raise RuntimeError("secret insides")

    client = await Client(pool, Broken()).run()
    assert client.status == 500
    assert "secret" not in client.error["message"]
    assert "secret insides" in caplog.text
