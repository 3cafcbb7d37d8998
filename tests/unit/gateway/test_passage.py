"""One request through the relay, in front of real workers: taken up, given up, and told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from rbee.contract.errors import NoPlacementError, RbeeError, RequestTimeoutError, UnavailableError, WorkerFailedError
from rbee.contract.wire import RequestRecord
from rbee.gateway import Asked, Dispatcher, Lease, Outcome, Pool, Queued, Relay, Route, Target

PATIENCE_S = 10
BODY = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
WHOLE = b'{"choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 4}}'


def answer(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(text: str | None, ident: str = "one", finish: str | None = None, **more: Any) -> bytes:
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": ident, "model": "m", "choices": [choice], **more}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


class HeldLease(Lease):
    def __init__(self, worker_id: str, target: Target) -> None:
        self.worker_id = worker_id
        self.target = target
        self.reason = "it is the first"
        self.outcomes: list[Outcome] = []

    def finish(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


class Places(Dispatcher):
    """Gives the targets one after the other, at once."""

    def __init__(self, *targets: Target) -> None:
        self.targets = list(targets)
        self.leases: list[HeldLease] = []
        self.routes: list[Route] = []
        self.open = asyncio.Event()
        self.open.set()
        self.position: int | None = None

    def try_acquire(self, route: Route) -> Lease | None:
        self.routes.append(route)
        if not self.open.is_set() or not self.targets:
            return None
        return self._next()

    async def acquire(self, route: Route) -> Lease:
        if self.position is not None and route.on_wait is not None:
            route.on_wait(Queued(self.position, 12.4))
        await self.open.wait()
        if not self.targets:
            raise NoPlacementError("there is no place for 'm'")
        return self._next()

    def _next(self) -> Lease:
        self.leases.append(HeldLease(f"w{len(self.leases)}", self.targets.pop(0)))
        return self.leases[-1]


class Client:
    """One client with what it has got."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.trailers: list[tuple[bytes, bytes]] = []
        self.error: RbeeError | None = None
        self.over = asyncio.Event()
        self.some = asyncio.Event()

    def whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.begin(status, headers, stream=False)
        self.body = body
        self.over.set()

    def begin(self, status: int, headers: list[tuple[bytes, bytes]], *, stream: bool) -> None:
        self.status, self.headers = status, dict(headers)

    def data(self, data: bytes) -> None:
        self.body += data
        self.some.set()

    def end(self, trailers: list[tuple[bytes, bytes]]) -> None:
        self.trailers = trailers
        self.over.set()

    def fail(self, error: RbeeError) -> int:
        self.error = error
        self.over.set()
        return 503

    async def finished(self) -> None:
        await asyncio.wait_for(self.over.wait(), PATIENCE_S)

    @property
    def text(self) -> str:
        found = ""
        for line in self.body.decode().split("\n\n"):
            if line.startswith("data: {"):
                found += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
        return found


class Door:
    """A relay with the records of its requests."""

    def __init__(self, pool: Pool, places: Places, keep_alive_s: float = 15.0) -> None:
        self.records: list[RequestRecord] = []
        self.relay = Relay(places, pool, self.records.append, keep_alive_s=keep_alive_s)

    def ask(self, body: dict[str, Any] | None = None, path: str = "/v1/chat/completions", **how: Any) -> Client:
        client = Client()
        headers = how.pop("headers", [])
        raw = json.dumps(BODY if body is None else body).encode()
        asked = Asked(path=path, request_id="req-1", headers=headers, body=raw, **how)
        client.passage = self.relay.serve(asked, client)  # type: ignore[attr-defined]
        return client


def worker(*parts: bytes, seen: list[bytes] | None = None, stay: bool = True):
    """Answers every request with the parts, and then dies unless it stays."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(one.split(b":")[1]) for one in head.split(b"\r\n") if one.startswith(b"content-length"))
            body = await reader.readexactly(length)
            if seen is not None:
                seen.append(head + body)
            for part in parts:
                writer.write(part)
                await writer.drain()
            if not stay:
                return

    return handle


async def test_a_whole_answer_is_accounted_for(serve, pool: Pool) -> None:
    door = Door(pool, Places(await serve(worker(answer(200, WHOLE)))))
    client = door.ask({"model": "m", "messages": []})
    await client.finished()
    assert (client.status, client.body) == (200, WHOLE)
    (record,) = door.records
    assert (record.prompt_tokens, record.completion_tokens, record.attempts, record.stream) == (8, 4, 1, False)
    assert record.worker_id == "w0"
    assert record.error_code is None


@pytest.mark.parametrize(
    ("tail", "prompt", "completion"),
    [
        (b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}\n\n' + DONE, 3, 2),
        (b': rbee-usage {"prompt_tokens":5,"completion_tokens":6}\n\n' + DONE, 5, 6),
        (b'data: {"choices": [], "timings": {"cache_n": 4, "prompt_n": 3, "predicted_n": 2}}\n\n' + DONE, 7, 2),
        (b": rbee-usage nonsense\n\n" + DONE, None, None),
        (DONE, None, 2),
    ],
    ids=["usage that was asked for", "a comment of the worker's", "timings", "a comment that is none", "counted"],
)
async def test_a_stream_is_accounted_for_by_what_it_tells(
    serve, pool: Pool, tail: bytes, prompt: int | None, completion: int | None
) -> None:
    parts = [event(""), event("a"), event("b"), event(None, finish="stop"), tail]
    door = Door(pool, Places(await serve(worker(EVENTS + b"".join(map(chunk, parts)) + b"0\r\n\r\n"))))
    client = door.ask()
    await client.finished()
    (record,) = door.records
    assert record.prompt_tokens == prompt
    if completion is not None:
        assert record.completion_tokens == completion
    assert record.first_token_s is not None
    assert client.body == b"".join(parts)


async def test_what_a_worker_is_asked_besides_the_clients_own(serve, pool: Pool) -> None:
    seen: list[bytes] = []
    door = Door(pool, Places(await serve(worker(answer(200, WHOLE), seen=seen))))
    headers = [
        (b"authorization", b"Bearer secret"),
        (b"connection", b"keep-alive, X-Hop"),
        (b"x-hop", b"here"),
        (b"x-odd", b"there"),
        (b"x-request-deadline", b"5000"),
        (b"x-rbee-usage", b"no"),
        (b"accept-encoding", b"gzip"),
    ]
    await door.ask(headers=headers).finished()
    head = seen[0].partition(b"\r\n\r\n")[0]
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert fields[b"x-odd"] == b"there"
    assert fields[b"x-request-id"] == b"req-1"
    assert fields[b"x-rbee-usage"] == b"1"
    assert 0 < int(fields[b"x-request-deadline"]) <= 5000
    assert not {b"authorization", b"connection", b"x-hop", b"accept-encoding"} & fields.keys()


async def test_only_a_caller_on_this_machine_learns_who_answered_and_why(serve, pool: Pool) -> None:
    door = Door(pool, Places(*[await serve(worker(answer(200, WHOLE))) for _ in range(2)]))
    near, far = door.ask(local=True), door.ask(local=False)
    await asyncio.gather(near.finished(), far.finished())
    assert near.headers[b"x-rbee-worker"] == b"w0"
    assert near.headers[b"x-rbee-reason"] == b"it is the first"
    assert not {b"x-rbee-worker", b"x-rbee-reason"} & far.headers.keys()
    assert far.headers[b"x-request-id"] == b"req-1"


async def test_the_error_of_a_dying_worker_is_not_passed_on_while_another_is_free(serve, pool: Pool) -> None:
    places = Places(await serve(worker(answer(503, b"{}"))), await serve(worker(answer(200, WHOLE))))
    door = Door(pool, places)
    client = door.ask()
    await client.finished()
    assert client.status == 200
    assert [one.outcomes[0].status for one in places.leases] == [503, 200]
    assert places.routes[1].tried == {"w0"}
    assert door.records[0].attempts == 2


async def test_the_error_of_the_only_worker_is_passed_on_as_it_is(serve, pool: Pool) -> None:
    places = Places(await serve(worker(answer(500, b'{"error": {"message": "no"}}'))))
    client = Door(pool, places).ask()
    await client.finished()
    assert (client.status, client.body) == (500, b'{"error": {"message": "no"}}')
    assert len(places.leases[0].outcomes) == 1


async def test_what_a_server_behind_a_worker_answers_is_not_held_against_the_worker(serve, pool: Pool) -> None:
    failing = answer(500, b"no").replace(b"content-type", b"x-rbee-elsewhere: 1\r\ncontent-type")
    places = Places(await serve(worker(failing)), await serve(worker(answer(500, b"own"))))
    client = Door(pool, places).ask()
    await client.finished()
    assert (client.status, client.body) == (500, b"own"), "another one is tried as ever"
    assert [one.outcomes[0].status for one in places.leases] == [None, 500]
    assert all(one.outcomes[0].reached for one in places.leases)
    alone = Places(await serve(worker(failing)))
    client = Door(pool, alone).ask()
    await client.finished()
    assert (client.status, client.body) == (500, b"no")
    assert [one.outcomes[0].status for one in alone.leases] == [None]


async def test_an_answer_is_continued_by_another_worker_when_one_dies(serve, pool: Pool) -> None:
    seen: list[bytes] = []
    first = [chunk(event("") + event("Once ")), chunk(event("upon ")), chunk(b'data: {"id": "one", "cho')]
    rest = [
        event("", "two", role=1).replace(b'{"content": ""}', b'{"role": "assistant", "content": ""}'),
        event("a time", "two"),
        event(None, "two", finish="stop", usage={"prompt_tokens": 12, "completion_tokens": 2}),
        DONE,
    ]
    places = Places(
        await serve(worker(EVENTS + b"".join(first), stay=False)),
        await serve(worker(EVENTS + b"".join(map(chunk, rest)) + b"0\r\n\r\n", seen=seen)),
    )
    door = Door(pool, places)
    client = door.ask({**BODY, "max_tokens": 10})
    await client.finished()
    assert client.text == "Once upon a time"
    assert client.error is None
    assert client.trailers == [(b"x-rbee-continued", b"1")]
    assert b'"two"' not in client.body
    assert client.body.count(b'"role"') == 0
    asked = json.loads(seen[0].partition(b"\r\n\r\n")[2])
    assert asked["messages"][-1] == {"role": "assistant", "content": "Once upon "}
    assert (asked["continue_final_message"], asked["add_generation_prompt"]) == (True, False)
    assert asked["max_tokens"] == 8
    assert places.routes[1].continues is True
    (record,) = door.records
    assert record.continued is True
    assert record.error_code is None
    assert (record.prompt_tokens, record.completion_tokens) == (10, 4)


@pytest.mark.parametrize(
    "how",
    [{"seed": 1}, {"tools": [{"type": "function"}]}, {"n": 2}, {"logprobs": True}, {"response_format": {"type": "x"}}],
)
async def test_what_could_not_be_one_answer_is_not_continued(serve, pool: Pool, how: dict[str, Any]) -> None:
    broken = await serve(worker(EVENTS + chunk(event("Once ")), stay=False))
    places = Places(broken, await serve(worker(answer(200, WHOLE))))
    client = Door(pool, places).ask({**BODY, **how})
    await client.finished()
    assert isinstance(client.error, WorkerFailedError)
    assert client.text == "Once "
    assert len(places.leases) == 1


async def test_a_completion_is_continued_by_its_prompt(serve, pool: Pool) -> None:
    seen: list[bytes] = []
    one = b'data: {"id": "c", "choices": [{"index": 0, "text": "b", "finish_reason": null}]}\n\n'
    places = Places(
        await serve(worker(EVENTS + chunk(one), stay=False)),
        await serve(worker(EVENTS + chunk(DONE) + b"0\r\n\r\n", seen=seen)),
    )
    client = Door(pool, places).ask({"model": "m", "prompt": "a", "stream": True}, path="/v1/completions")
    await client.finished()
    assert json.loads(seen[0].partition(b"\r\n\r\n")[2])["prompt"] == "ab"


async def test_an_answer_that_nobody_can_continue_ends_with_an_error_that_says_so(serve, pool: Pool) -> None:
    door = Door(pool, Places(await serve(worker(EVENTS + chunk(event("Once ")), stay=False))))
    client = door.ask()
    await client.finished()
    assert isinstance(client.error, WorkerFailedError)
    assert "no place for 'm'" in client.error.message
    assert door.records[0].error_code == "WORKER_FAILED"


async def test_a_deadline_ends_a_request_that_waits(pool: Pool) -> None:
    places = Places()
    places.open.clear()
    door = Door(pool, places)
    client = door.ask(headers=[(b"x-request-deadline", b"30")])
    await client.finished()
    assert isinstance(client.error, RequestTimeoutError)
    assert door.relay.open_requests == 0


@pytest.mark.parametrize("value", [b"", b"0", b"-5", b"1.5", b"soon", b"9" * 13, b"604800001"])
async def test_a_deadline_that_is_none_is_refused(pool: Pool, value: bytes) -> None:
    client = Door(pool, Places()).ask(headers=[(b"x-request-deadline", value)])
    assert client.error is not None
    assert "X-Request-Deadline" in client.error.message


async def test_who_waits_for_a_stream_hears_a_comment_now_and_then(serve, pool: Pool) -> None:
    places = Places(await serve(worker(EVENTS + chunk(event("hi")) + chunk(DONE) + b"0\r\n\r\n")))
    places.open.clear()
    places.position = 3
    client = Door(pool, places, keep_alive_s=0.01).ask()
    await asyncio.wait_for(client.some.wait(), PATIENCE_S)
    assert client.status == 200
    assert client.headers[b"content-type"].startswith(b"text/event-stream")
    assert client.body.startswith(b": waiting, place 3 in the queue, about 12 s\n\n")
    places.open.set()
    await client.finished()
    assert client.text == "hi"
    assert client.body.endswith(DONE)


async def test_an_error_after_such_a_comment_is_an_event(serve, pool: Pool) -> None:
    places = Places(await serve(worker(answer(400, b'{"error": {"message": "no"}}'))))
    places.open.clear()
    client = Door(pool, places, keep_alive_s=0.01).ask()
    await asyncio.wait_for(client.some.wait(), PATIENCE_S)
    places.open.set()
    await client.finished()
    assert client.body.endswith(b'data: {"error": {"message": "no"}}\n\n')


async def test_who_waits_for_a_whole_answer_hears_nothing_before_it(pool: Pool) -> None:
    places = Places()
    places.open.clear()
    client = Door(pool, places, keep_alive_s=0.01).ask({"model": "m", "messages": []})
    await asyncio.sleep(0.05)
    assert client.status is None
    client.passage.gone()


async def test_a_relay_that_drains_refuses_new_requests_and_finishes_the_open_ones(serve, pool: Pool) -> None:
    go = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(EVENTS + chunk(event("a")))
        await go.wait()
        writer.write(chunk(DONE) + b"0\r\n\r\n")
        await reader.read()

    door = Door(pool, Places(await serve(slow)))
    first = door.ask()
    await asyncio.wait_for(first.some.wait(), PATIENCE_S)
    draining = asyncio.create_task(door.relay.drain(PATIENCE_S))
    await asyncio.sleep(0)
    second = door.ask()
    assert isinstance(second.error, UnavailableError)
    assert not draining.done()
    go.set()
    assert await asyncio.wait_for(draining, PATIENCE_S) == 0
    assert first.body.endswith(DONE)


async def test_draining_ends_with_the_time_it_has(serve, pool: Pool) -> None:
    door = Door(pool, Places(await serve(worker(EVENTS + chunk(event("a"))))))
    client = door.ask()
    await asyncio.wait_for(client.some.wait(), PATIENCE_S)
    assert await door.relay.drain(0.01) == 1
    door.relay.close()
    assert isinstance(client.error, UnavailableError)


async def test_a_client_that_takes_no_more_stops_the_worker_too(serve, pool: Pool) -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(EVENTS)
        while True:
            writer.write(chunk(event("x" * 1000)))
            await writer.drain()
            sent += 1

    client = Door(pool, Places(await serve(endless))).ask()
    await asyncio.wait_for(client.some.wait(), PATIENCE_S)
    client.passage.pause()
    got = len(client.body)
    before = -1
    while sent != before:
        before = sent
        await asyncio.sleep(0.05)
    assert len(client.body) == got
    client.passage.resume()
    async with asyncio.timeout(PATIENCE_S):
        while len(client.body) == got:
            await asyncio.sleep(0.001)
    client.passage.gone()


async def test_events_are_passed_on_whole_wherever_the_line_cuts_them(serve, pool: Pool) -> None:
    whole = EVENTS + b"".join(map(chunk, [event("Once "), event("upon"), DONE])) + b"0\r\n\r\n"
    parts: list[bytes] = []

    class Whole(Client):
        def data(self, data: bytes) -> None:
            parts.append(data)
            super().data(data)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for at in range(len(whole)):
            writer.write(whole[at : at + 1])
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()

    door, client = Door(pool, Places(await serve(handle))), Whole()
    asked = Asked(path="/v1/chat/completions", request_id="r", headers=[], body=json.dumps(BODY).encode())
    door.relay.serve(asked, client)
    await client.finished()
    assert all(part.endswith(b"\n\n") for part in parts)
    assert client.text == "Once upon"


def slow(*parts: bytes, seconds: float):
    """Answers with the parts after a while."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(one.split(b":")[1]) for one in head.split(b"\r\n") if one.startswith(b"content-length"))
        await reader.readexactly(length)
        await asyncio.sleep(seconds)
        for part in parts:
            writer.write(part)

    return handle


async def test_the_time_to_the_first_token_is_of_the_answer_that_the_client_gets(serve, pool: Pool) -> None:
    late = EVENTS + b"".join(map(chunk, [event("a"), event("b"), event(None, finish="stop"), DONE])) + b"0\r\n\r\n"
    places = Places(await serve(worker(answer(503, b"{}"))), await serve(slow(late, seconds=0.2)))
    door = Door(pool, places)
    await door.ask().finished()
    (record,) = door.records
    assert record.first_token_s is not None
    assert record.first_token_s >= 0.2
    assert record.first_byte_s is not None
    assert record.first_byte_s >= 0.2


async def test_a_worker_that_goes_on_is_timed_by_its_own_first_byte(serve, pool: Pool) -> None:
    broken = EVENTS + chunk(event("a"))
    rest = EVENTS + b"".join(map(chunk, [event("b"), event(None, finish="stop"), DONE])) + b"0\r\n\r\n"
    places = Places(await serve(worker(broken, stay=False)), await serve(slow(rest, seconds=0.2)))
    door = Door(pool, places)
    client = door.ask()
    await client.finished()
    assert client.text == "ab"
    (outcome,) = places.leases[1].outcomes
    assert outcome.first_byte_s is not None
    assert outcome.first_byte_s >= 0.2
    assert door.records[0].first_token_s is not None
    assert door.records[0].first_token_s < 0.2


async def test_a_trace_of_the_clients_reaches_the_worker_where_the_gateway_makes_none(serve, pool: Pool) -> None:
    seen: list[bytes] = []
    door = Door(pool, Places(await serve(worker(answer(200, WHOLE), seen=seen))))
    parent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await door.ask(headers=[(b"traceparent", parent), (b"tracestate", b"a=b")]).finished()
    lines = seen[0].partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert [line for line in lines if line.startswith(b"trace")] == [b"tracestate: a=b", b"traceparent: " + parent]
