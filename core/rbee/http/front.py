"""The front door of a program: one ASGI callable that checks every request and knows which way it goes."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from rbee.contract.errors import MethodNotAllowedError, NotFoundError, RbeeError
from rbee.http.errors import public_error, render
from rbee.http.guard import Access, Guard

log = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]
DataPlane = Callable[..., Awaitable[None]]
"""Serves ``(scope, receive, send, path=..., request_id=...)`` for a POST on an OpenAI route."""

OPENAI_POSTS = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/embeddings"})
_OPEN = frozenset({"/health", "/ready"})
_INFERENCE = frozenset({"/v1/models", "/v1/infer"})
_PREFIX = "/openai"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


def openai_path(path: str) -> str:
    """The path without the optional ``/openai`` prefix."""
    return path.removeprefix(_PREFIX) if path.startswith(_PREFIX + "/v1/") else path


def access_of(path: str) -> Access:
    """What a route asks of its caller; everything not named is control."""
    plain = openai_path(path)
    if plain in _OPEN:
        return Access.OPEN
    if plain in OPENAI_POSTS or plain in _INFERENCE or plain.startswith(("/v1/models/", "/v1/infer/")):
        return Access.INFERENCE
    return Access.CONTROL


class Front:
    """Guard, request id, data plane, application: in this order.

    Args:
        app: the Litestar application, for everything but the data plane.
        guard: who may call what.
        data_plane: serves the OpenAI POST routes; None where a program has none.
    """

    def __init__(self, app: AsgiApp, guard: Guard, data_plane: DataPlane | None = None) -> None:
        self._app = app
        self._guard = guard
        self._data_plane = data_plane

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope["headers"])
        path = openai_path(scope["path"])
        openai = path in OPENAI_POSTS or path == "/v1/models" or path.startswith("/v1/models/")
        try:
            self._guard.check(scope["headers"], access_of(path))
            if self._data_plane is not None and path in OPENAI_POSTS and scope["method"] == "POST":
                await self._data_plane(scope, receive, send, path=path, request_id=request_id)
                return
            if path in OPENAI_POSTS and scope["method"] != "POST":
                raise MethodNotAllowedError(f"{path!r} takes POST, not {scope['method']}.")
            if path in OPENAI_POSTS:
                raise NotFoundError(f"{path!r} is not served here; ask the queen.")
        except RbeeError as error:
            await send_error(send, error, openai=openai, request_id=request_id)
            return
        inner = dict(scope, path=path, raw_path=path.encode())
        inner.setdefault("state", {})
        inner["state"] = dict(inner["state"], request_id=request_id, openai=openai)
        await self._app(inner, receive, send)


async def send_error(send: Send, error: BaseException, *, openai: bool, request_id: str) -> None:
    """Send an error as a whole answer."""
    told = public_error(error, where="the front door")
    answer = render(told, openai=openai, correlation_id=request_id)
    await send({"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)})
    await send({"type": "http.response.body", "body": answer.body})


def _request_id(headers: list[tuple[bytes, bytes]]) -> str:
    """The caller's ``x-request-id`` if it is harmless, else a fresh one."""
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode("ascii")
    return f"req-{uuid.uuid4()}"
