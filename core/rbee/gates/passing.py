"""What a gate does not serve itself is passed to the queen, and her answer back as it comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import httpx2

from rbee.contract.errors import UnavailableError
from rbee.http.front import AsgiApp, errs_as_openai, openai_path, request_id_of, send_error

log = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_HOPS = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
        b"transfer-encoding", b"upgrade", b"expect",
    }
)  # fmt: skip
_CONNECT_S = 5.0


class ToQueen:
    """An ASGI application that is the queen's, in another process.

    Args:
        port: of loopback, where she listens.
    """

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        # Reading the system's certificates takes long, and plain HTTP has no use for them.
        transport = httpx2.AsyncHTTPTransport(
            verify=False,
            trust_env=False,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
        )
        timeout = httpx2.Timeout(None, connect=_CONNECT_S)
        self._client = httpx2.AsyncClient(transport=transport, trust_env=False, timeout=timeout)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on; one whose client leaves is ended at the queen, too."""
        sent = asyncio.Event()
        passing = asyncio.create_task(self._pass(scope, receive, send, sent))
        leaving = asyncio.create_task(_left(receive, sent))
        try:
            await asyncio.wait({passing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (passing, leaving):
                task.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
        ended, *_ = await asyncio.gather(passing, return_exceptions=True)
        if isinstance(ended, Exception):
            raise ended

    async def close(self) -> None:
        """Hang up."""
        await self._client.aclose()

    async def _pass(self, scope: Scope, receive: Receive, send: Send, sent: asyncio.Event) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name not in _HOPS]
        has_body = any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])
        query = scope.get("query_string", b"").decode("latin-1")
        url = self._base + scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        content = _body(receive, sent) if has_body else None
        if content is None:
            sent.set()
        try:
            # A request of its own making would add headers that the client did not send.
            request = httpx2.Request(scope["method"], url, headers=headers, content=content)
            response = await self._client.send(request, stream=True)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            log.warning("the queen did not take %s %s: %s", scope["method"], scope["path"], error)
            told = UnavailableError("The queen does not answer this process of hers; ask again in a moment.")
            openai = errs_as_openai(openai_path(scope["path"]))
            await send_error(send, told, openai=openai, request_id=request_id_of(scope["headers"]))
            return
        try:
            kept = [(name.lower(), value) for name, value in response.headers.raw if name.lower() not in _HOPS]
            await send({"type": "http.response.start", "status": response.status_code, "headers": kept})
            async for chunk in response.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await response.aclose()


def strangers(app: AsgiApp) -> AsgiApp:
    """The queen's application as her gates call it: whom they pass on is not on this machine because they are."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        await app(dict(scope, client=None), receive, send)

    return serve


async def _body(receive: Receive, sent: asyncio.Event) -> AsyncGenerator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise httpx2.WriteError("the client left")
        yield message.get("body", b"")
        more = bool(message.get("more_body", False))
    sent.set()


async def _left(receive: Receive, sent: asyncio.Event) -> None:
    """Return when the client has left; its body is somebody else's to read."""
    await sent.wait()
    while (await receive())["type"] != "http.disconnect":
        pass
