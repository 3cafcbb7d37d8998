"""An engine that moves only when the test lets it, and a bare ASGI client."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from rbee.contract import (
    Availability,
    Backend,
    Capability,
    EngineStatus,
    LoadedModel,
    LoadSpec,
    ModelVariant,
    TokenEngine,
    TokenEvent,
    TokenRequest,
)
from rbee.testing.tables import TableTokenizer
from rbee.worker.tokens import TokenFace

PATIENCE_S = 10
MAX_BODY = 32 * 1024 * 1024


class GatedEngine(TokenEngine):
    """Says `words`, one a step, and then that it has ended; with `gated`, every step waits for `allow`.

    With `tokens` it says these instead, and never that it has ended.
    """

    name = "gated"
    formats = frozenset({"gated"})
    backends = frozenset({Backend.CPU})
    capabilities = frozenset({Capability.CHAT, Capability.COMPLETIONS, Capability.TOOLS, Capability.CONTINUATION})
    sampling = frozenset({"temperature", "top_p", "top_k", "seed"})

    def __init__(self, words=None, *, gated=False, tokens=None, tokenizer=None):
        self.words = ["one", " two", " three"] if words is None else words
        self.tokenizer = tokenizer or TableTokenizer(self.words)
        self.tokens = list(range(self.tokenizer.first, self.tokenizer.first + len(self.words)))
        self.says_its_end = tokens is None
        if tokens is not None:
            self.tokens = tokens
        self.gated = gated
        self.steps = threading.Semaphore(0)
        self.load_gate = threading.Event()
        self.load_gate.set()
        self.load_error: BaseException | None = None
        self.add_errors: dict[str, Exception] = {}
        self.step_error: BaseException | None = None
        self.log: list[tuple[str, str]] = []
        self.requests: list[TokenRequest] = []
        self.threads: set[int] = set()
        self.said: dict[str, int] = {}
        self.most = 0
        self.removed = threading.Event()
        self.stepped = threading.Event()

    @classmethod
    def availability(cls) -> Availability:
        return Availability(available=True)

    def allow(self, steps: int = 1) -> None:
        self.steps.release(steps)

    def text(self, tokens) -> str:
        return b"".join(map(self.tokenizer.piece, tokens)).decode()

    def load(self, spec, report):
        self.threads.add(threading.get_ident())
        self.log.append(("load", spec.model_id))
        report("loading")
        self.load_gate.wait(PATIENCE_S)
        if self.load_error is not None:
            raise self.load_error
        return LoadedModel(tokenizer=self.tokenizer, context_length=4096)

    def add(self, request):
        self.threads.add(threading.get_ident())
        self.log.append(("add", request.request_id))
        self.requests.append(request)
        for key, error in self.add_errors.items():
            if key in self.text(request.prompt):
                raise error
        self.said[request.request_id] = 0
        self.most = max(self.most, len(self.said))

    def step(self):
        self.threads.add(threading.get_ident())
        self.stepped.set()
        if self.gated:
            self.steps.acquire(timeout=PATIENCE_S)
        if self.step_error is not None:
            raise self.step_error
        events = []
        for request in self.requests:
            request_id = request.request_id
            if request_id not in self.said:
                continue
            at = self.said[request_id]
            self.said[request_id] += 1
            finish = "stop" if self.says_its_end and at + 1 >= len(self.tokens) else None
            if finish:
                del self.said[request_id]
            events.append(self.event(request, at, finish))
        return events

    def event(self, request, at, finish):
        return TokenEvent(
            request_id=request.request_id,
            token=self.tokens[at] if at < len(self.tokens) else None,
            finish=finish,
            prompt_done=len(request.prompt) if at == 0 else None,
        )

    def remove(self, request_id):
        self.threads.add(threading.get_ident())
        self.log.append(("remove", request_id))
        self.said.pop(request_id, None)
        self.removed.set()

    def unload(self):
        self.threads.add(threading.get_ident())
        self.log.append(("unload", ""))

    def status(self):
        return EngineStatus()


class Client:
    """Speaks ASGI to an application as a server would."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self.app = app
        self.gone = asyncio.Event()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.chunks: list[bytes] = []
        self.ended = False
        self.news = asyncio.Event()
        self.may_send = asyncio.Event()
        self.may_send.set()

    async def __call__(self, method: str, path: str, body: Any = None, headers: Any = ()) -> Client:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        parts = [raw[: len(raw) // 2], raw[len(raw) // 2 :]]

        async def receive():
            if parts:
                return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            await self.may_send.wait()
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            else:
                self.chunks.append(message["body"])
                self.ended = not message["more_body"]
            self.news.set()

        scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
        await asyncio.wait_for(self.app(scope, receive, send), PATIENCE_S)
        return self

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The events of a stream, without the mark of the end, which must be there."""
        found = self.body.decode().split("\n\n")
        assert found[-2:] == ["data: [DONE]", ""]
        return [json.loads(event.removeprefix("data: ")) for event in found[:-2]]

    async def wait_for(self, text: bytes) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while text not in self.body:
                self.news.clear()
                await self.news.wait()


def load_spec(slots: int = 1, capabilities: Any = None) -> LoadSpec:
    extra = {} if capabilities is None else {"capabilities": frozenset(capabilities)}
    variant = ModelVariant(model_id="gated:m", name="m", vendor="gated", format="gated", **extra)
    return LoadSpec(model_id="gated:m", model_path=None, variant=variant, slots=slots)


@pytest.fixture
def engine_of():
    return GatedEngine


@pytest.fixture
def tokenizer_of():
    return TableTokenizer


@pytest.fixture
def spec_of():
    return load_spec


@pytest.fixture
def client_of():
    return Client


@pytest.fixture
def served():
    """A context that loads an engine behind a face and unloads it."""

    @asynccontextmanager
    async def serve(engine: TokenEngine, *, slots: int = 1, **options: Any) -> AsyncIterator[TokenFace]:
        capabilities = options.pop("capabilities", None)
        face = TokenFace(engine, load_spec(slots, capabilities), max_body=MAX_BODY, **options)
        await face.start(lambda stage: None)
        try:
            yield face
        finally:
            if isinstance(engine, GatedEngine):
                engine.gated = False
                engine.allow(100)
            await asyncio.wait_for(face.stop(), PATIENCE_S)

    return serve


async def in_thread(event: threading.Event) -> None:
    """Wait for something that the engine's thread does."""
    assert await asyncio.to_thread(event.wait, PATIENCE_S)


@pytest.fixture
def happened():
    return in_thread
