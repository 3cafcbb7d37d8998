"""One HTTP exchange over raw ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from rbee.contract.errors import CancelledByCallerError, PayloadTooLargeError, RbeeError
from rbee.http.errors import render
from rbee.worker.face import Receive, Scope, Send
from rbee.worker.tokens.openai import DONE, error_event

Headers = tuple[tuple[bytes, bytes], ...]

_JSON: Headers = ((b"content-type", b"application/json"),)
_STREAM: Headers = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


class Exchange:
    """Reads the request's body and sends the response, whole or streamed."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self.begun = False

    @property
    def wants_usage(self) -> bool:
        """Whether whoever asks, a gateway, wants to know the usage even where its client does not."""
        return any(name == b"x-rbee-usage" for name, _ in self._scope.get("headers", ()))

    async def body(self, limit_bytes: int) -> bytes:
        """The whole body.

        Raises:
            PayloadTooLargeError: more than `limit_bytes`; no more than that is ever held.
            CancelledByCallerError: the client went away.
        """
        for name, value in self._scope.get("headers", ()):
            if name == b"content-length" and value.isdigit() and int(value) > limit_bytes:
                raise _too_large(limit_bytes)
        body = bytearray()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise client_gone()
            body += message.get("body", b"")
            if len(body) > limit_bytes:
                raise _too_large(limit_bytes)
            if not message.get("more_body", False):
                return bytes(body)

    @asynccontextmanager
    async def watched(self, on_gone: Callable[[], None]) -> AsyncIterator[None]:
        """Call `on_gone` when the client goes away before the block ends; the body must have been read."""

        async def watch() -> None:
            while (await self._receive())["type"] != "http.disconnect":
                pass
            on_gone()

        watcher = asyncio.create_task(watch())
        try:
            yield
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)

    async def respond(self, body: bytes, *, status: int = 200, headers: Headers = _JSON) -> None:
        """Send a whole response; its length is added to the headers unless there."""
        if not any(name == b"content-length" for name, _ in headers):
            headers = (*headers, (b"content-length", str(len(body)).encode()))
        await self._start(status, headers)
        await self._emit({"type": "http.response.body", "body": body, "more_body": False})

    async def stream(self, data: bytes, *, end: bool = False) -> None:
        """Send a part of a stream of events, the first one after the head; waits for a slow client."""
        if not self.begun:
            await self._start(200, _STREAM)
        await self._emit({"type": "http.response.body", "body": data, "more_body": not end})

    async def fail(self, error: RbeeError) -> None:
        """Tell an error as HTTP says it or, once a stream has begun, as its last event."""
        if self.begun:
            await self.stream(error_event(error) + DONE, end=True)
        else:
            told = render(error, openai=True)
            await self.respond(told.body, status=told.status, headers=told.headers)

    async def _start(self, status: int, headers: Headers) -> None:
        self.begun = True
        await self._emit({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def _emit(self, message: Scope) -> None:
        try:
            await self._send(message)
        except OSError as error:  # ASGI's word for a client that is gone
            raise client_gone() from error


def client_gone() -> CancelledByCallerError:
    """The error that ends a request whose client went away; nobody reads it."""
    return CancelledByCallerError("The client went away before the answer was complete.")


def _too_large(limit_bytes: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"The body has more than {limit_bytes} bytes; send a shorter conversation.")
