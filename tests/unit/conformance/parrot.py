"""A whole worker in this process: HTTP, the host, and an engine that repeats what it hears, a byte a token."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

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
)
from rbee.http.guard import Guard
from rbee.http.ports import listen, port_of, url_of
from rbee.http.server import HttpServer
from rbee.testing.tables import TableTokenizer
from rbee.worker.app import make_app
from rbee.worker.host import WorkerHost
from rbee.worker.tokens.face import TokenFace

TOKEN = "sesame-for-the-parrot"
_STEP_S = 0.002
_MAX_BODY = 1 << 20


class Parrot(TokenEngine):
    """Repeats the last message of a conversation, or the whole prompt, once."""

    name = "parrot"
    formats = frozenset({"parrot"})
    backends = frozenset({Backend.CPU})
    capabilities = frozenset({Capability.CHAT, Capability.COMPLETIONS, Capability.TOOLS, Capability.CONTINUATION})

    def __init__(self) -> None:
        self.tokenizer = TableTokenizer()
        self.left: dict[str, list[int]] = {}

    @classmethod
    def availability(cls) -> Availability:
        return Availability(available=True, version="1")

    def load(self, spec, report):
        report("listening")
        return LoadedModel(tokenizer=self.tokenizer, context_length=4096)

    def add(self, request):
        heard = b"".join(map(self.tokenizer.piece, request.prompt)).decode()
        said = heard.rpartition("<|im_start|>user\n")[2].partition("<|im_end|>")[0]
        self.left[request.request_id] = [*said.encode(), 257]

    def step(self):
        if self.left:
            time.sleep(_STEP_S)
        return [TokenEvent(request_id=name, token=tokens.pop(0)) for name, tokens in self.left.items() if tokens]

    def remove(self, request_id):
        self.left.pop(request_id, None)

    def unload(self):
        self.left.clear()

    def status(self):
        return EngineStatus()


Wrap = Callable[[Any], Any]
"""Puts something around a worker's ASGI application."""


@contextlib.asynccontextmanager
async def worker(wrap: Wrap = lambda app: app, *, ends: bool = True) -> AsyncIterator[str]:
    """A running worker; its address.

    Args:
        wrap: breaks what is sent or heard.
        ends: it leaves when it is told to.
    """
    variant = ModelVariant(model_id="parrot:p", name="parrot", vendor="parrot", format="parrot")
    spec = LoadSpec(model_id="parrot:p", model_path=None, variant=variant, slots=2)
    sock = listen("127.0.0.1", 0, "a test")
    url = url_of("127.0.0.1", port_of(sock))
    face = TokenFace(Parrot(), spec, max_body=_MAX_BODY)
    host = WorkerHost("w", Parrot, face, spec, url, None)
    guard = Guard(token=TOKEN, host="127.0.0.1", allowed_hosts=(), allowed_origins=(), require_token=False)
    server = HttpServer(wrap(make_app(host, guard, _MAX_BODY)), sock, grace_s=1)
    await server.start()
    await host.load(lambda stage: None)

    async def live() -> None:
        await host.shutdown_asked.wait()
        if ends:
            await host.drain(10)
            await server.stop()

    living = asyncio.create_task(live())
    try:
        yield url
    finally:
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)
        await host.stop(10)
        await server.stop()
