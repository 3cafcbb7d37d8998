"""The relay as an ASGI callable, for programs whose requests are few: a worker in front of its own engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from rbee.contract.errors import CancelledByCallerError, RbeeError
from rbee.contract.wire import RequestRecord
from rbee.gateway.body import read_body
from rbee.gateway.calling import RelayCalls
from rbee.gateway.calls import Call
from rbee.gateway.dispatch import Dispatcher
from rbee.gateway.pool import Pool
from rbee.gateway.relay import Relay

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
RenderError = Callable[[RbeeError, str], tuple[int, tuple[tuple[bytes, bytes], ...], bytes]]
"""Makes status, headers and body of an error in OpenAI's envelope, from the error and the request's id."""


class AsgiRelay:
    """Serves POST requests on the OpenAI routes.

    Args:
        dispatcher: finds a place for each request.
        pool: connections to workers.
        render_error: see `RenderError`.
        max_body: bytes a request may have.
        observe: told each request when it has ended.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        pool: Pool,
        render_error: RenderError,
        max_body: int,
        observe: Callable[[RequestRecord], None] = lambda _: None,
    ) -> None:
        self._calls = RelayCalls(Relay(dispatcher, pool, observe), lambda error: render_error(error, "")[0])
        self._render = render_error
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send, *, path: str, request_id: str) -> None:
        """Serve one request.

        Args:
            scope: of ASGI.
            receive: of ASGI.
            send: of ASGI.
            path: the OpenAI path without prefix; the worker is asked the same one.
            request_id: told to the worker and back to the client.
        """
        try:
            body = await read_body(receive, scope, self._max_body)
        except CancelledByCallerError:
            return
        except RbeeError as error:
            await self._refuse(send, error, request_id)
            return
        call = Call(
            request_id=request_id,
            path=path,
            body=body,
            headers=tuple(scope["headers"]),
            trusted=bool(scope.get("state", {}).get("trusted")),
            door=path,
        )
        work = asyncio.ensure_future(self._pass_on(call, send))
        watch = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait([work, watch], return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
            if not work.done():
                # The client has left, or the server stops.
                work.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)
        if not work.cancelled():
            work.result()

    async def _pass_on(self, call: Call, send: Send) -> None:
        begun = stream = False
        try:
            async with self._calls.open(call) as answer:
                stream = answer.stream
                head = {"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)}
                begun = True
                await send(head)
                while (data := await answer.read()) is not None:
                    await send({"type": "http.response.body", "body": data, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except RbeeError as error:
            if not begun:
                await self._refuse(send, error, call.request_id)
            elif stream:
                # One event that clients of the API take as an error, and a proper end.
                event = b"data: " + self._render(error, call.request_id)[2] + b"\n\n"
                await send({"type": "http.response.body", "body": event, "more_body": False})
            # Half a document cannot be mended: left incomplete, the server closes the line, which clients notice.

    async def _refuse(self, send: Send, error: RbeeError, request_id: str) -> None:
        status, headers, body = self._render(error, request_id)
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": body})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
