"""What stands behind the doors in these tests: a gateway with scripted answers, and a colony as a list."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from rbee.contract.errors import RbeeError
from rbee.contract.types import WorkerState
from rbee.contract.wire import WorkerRecord
from rbee.doors import make_doors
from rbee.gateway.calls import Answer, Call, Calls

PATIENCE_S = 10


def events(*values: Any, done: bool = True) -> bytes:
    """A stream of OpenAI's."""
    data = b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)
    return data + b"data: [DONE]\n\n" if done else data


def piece(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk of a chat."""
    return {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish, **more}]}


def figures(prompt: int = 5, answer: int = 3) -> dict[str, Any]:
    """The chunk with usage."""
    return {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": 8}}


def whole(message: dict[str, Any], finish: str = "stop", **more: Any) -> bytes:
    """A whole chat."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    return json.dumps({"id": "chatcmpl-1", "choices": [choice | more], "usage": usage}).encode()


HELLO = events(piece({"role": "assistant", "content": ""}), piece({"content": "hel"}), piece({"content": "lo"}),
               piece({}, "stop"), figures())  # fmt: skip
TOOLS = events(
    piece({"role": "assistant", "content": None}),
    piece({"content": "I look. "}),
    piece({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "weather", "arguments": '{"ci'}}]}),
    piece({"tool_calls": [{"index": 0, "function": {"arguments": 'ty":"Oslo"}'}}]}),
    piece({"tool_calls": [{"index": 1, "id": "c2", "function": {"name": "time", "arguments": "{}"}}]}),
    piece({}, "tool_calls"),
    figures(),
)
THOUGHT = events(
    piece({"reasoning_content": "hm"}), piece({"reasoning_content": "m"}), piece({"content": "4"}), piece({}, "stop"),
    figures(),
)  # fmt: skip
CUT = events(piece({"content": "hel"}), piece({}, "length"), figures())
BROKEN = events(piece({"content": "hel"}), done=False)
FAILED = events(piece({"content": "hel"}), {"error": {"message": "it died", "code": "worker_failed"}}, done=False)


class Scripted(Calls, Answer):
    """Answers every call alike: with a status, and parts that come when they are read."""

    def __init__(
        self,
        *parts: bytes,
        status: int = 200,
        stream: bool = False,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        opening: RbeeError | None = None,
        wait: asyncio.Event | None = None,
        hang: bool = False,
    ) -> None:
        self.status, self.headers, self.stream = status, headers, stream
        self.calls: list[Call] = []
        self.left_early = False
        self._parts = list(parts)
        self._opening, self._wait, self._hang = opening, wait, hang

    @property
    def body(self) -> Any:
        """Of the last call."""
        return json.loads(self.calls[-1].body)

    @asynccontextmanager
    async def open(self, call: Call) -> AsyncIterator[Answer]:
        self.calls.append(call)
        if self._wait is not None:
            await self._wait.wait()
        if self._opening is not None:
            raise self._opening
        left = list(self._parts)
        ended = False

        async def read() -> bytes | None:
            nonlocal ended
            await asyncio.sleep(0)
            if left:
                return left.pop(0)
            if self._hang:
                await asyncio.Event().wait()
            ended = True
            return None

        self.read = read  # type: ignore[method-assign]
        try:
            yield self
        finally:
            self.left_early = not ended

    async def read(self) -> bytes | None:
        raise NotImplementedError


class Models:
    """A colony as the queen lists it."""

    def __init__(self, *workers: WorkerRecord, listed: Sequence[str] = ("demo", "tiny")) -> None:
        self._workers = workers
        self._listed = listed
        self._asked = 0
        self.expired: list[str] = []

    async def models(self, *, trusted: bool) -> list[dict[str, Any]]:
        return [
            {"id": name, "object": "model", "created": 0, "owned_by": "demo",
             "rbee": {"model_id": f"demo:{name}", "state": "loaded"}}
            for name in self._listed
        ]  # fmt: skip

    def workers(self) -> list[WorkerRecord]:
        # As the queen does: each answer tells other ages.
        self._asked += 1
        return [msgspec.structs.replace(one, heartbeat_age_s=float(self._asked)) for one in self._workers]

    def expire(self, name: str, *, trusted: bool) -> None:
        self.expired.append(name)


def worker(name: str = "demo", **known: Any) -> WorkerRecord:
    """A worker that has loaded a model; what is not given is unknown."""
    unknown = dict.fromkeys(WorkerRecord.__struct_fields__)
    fields = {
        "worker_id": "w1", "model_id": f"demo:{name}", "model_name": name, "state": WorkerState.READY,
        "presence": "online", "routable": True, "pinned": False,
    }  # fmt: skip
    return msgspec.convert({**unknown, **fields, **known}, WorkerRecord)


class Visit:
    """One request at a door, as an ASGI server would bring it."""

    def __init__(
        self, calls: Calls, path: str, body: Any = None, *, models: Models | None = None, method: str = "POST",
        headers: Sequence[tuple[bytes, bytes]] = (), trusted: bool = False, max_body: int = 100_000,
    ) -> None:  # fmt: skip
        self.sent: list[dict[str, Any]] = []
        self.some = asyncio.Event()
        self.gone = asyncio.Event()
        self.door = make_doors(calls, models or Models(), max_body)[method, path]
        self._path = path
        self._scope = {"headers": list(headers), "state": {"trusted": trusted}}
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self._coming = [{"type": "http.request", "body": raw, "more_body": False}]

    async def _receive(self) -> dict[str, Any]:
        if self._coming:
            return self._coming.pop(0)
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if message.get("body"):
            self.some.set()

    async def run(self) -> Visit:
        """Serve it to its end."""
        async with asyncio.timeout(PATIENCE_S):
            await self.door(self._scope, self._receive, self._send, path=self._path, request_id="req-1")
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
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        """Of an NDJSON stream."""
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def events(self) -> list[Any]:
        """Of a stream of server-sent events; each names its type twice."""
        found = []
        for block in self.body.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if fields:
                value = json.loads(fields["data"])
                assert value["type"] == fields["event"]
                found.append(value)
        return found

    @property
    def ended(self) -> bool:
        return self.sent[-1].get("more_body", False) is False


async def visit(calls: Calls, path: str, body: Any = None, **more: Any) -> Visit:
    """One request, served to its end."""
    found = await Visit(calls, path, body, **more).run()
    assert found.ended
    return found
