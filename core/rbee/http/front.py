"""The front door of a program: one ASGI callable that checks every request and knows which way it goes."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

from rbee.contract.errors import (
    AuthenticationError,
    MethodNotAllowedError,
    NotFoundError,
    RbeeError,
    RequestTimeoutError,
)
from rbee.http.cors import allowed_origin, is_preflight, preflight_answer, telling
from rbee.http.direct import DirectRoutes
from rbee.http.errors import ErrorResponse, public_error, render
from rbee.http.guard import Access, Guard, Headers, bearer
from rbee.trust.names import Peer
from rbee.trust.spawned import PREFIX, SpawnTokens

log = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]
Door = Callable[..., Awaitable[None]]
"""Serves ``(scope, receive, send, path=..., request_id=...)`` for a route of another API."""
DoorError = Callable[[str, RbeeError, str], ErrorResponse]
"""An error as a door tells it, from its path, the error and the request's id."""

OPENAI_POSTS = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank"})
_OPEN = frozenset({"/health", "/ready"})
_INFERENCE = frozenset({"/v1/models", "/v1/infer"})
_BODY_S = 30.0
_PREFIX = "/openai"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


def openai_path(path: str) -> str:
    """The path without the optional ``/openai`` prefix."""
    return path.removeprefix(_PREFIX) if path.startswith(_PREFIX + "/v1/") else path


def errs_as_openai(path: str) -> bool:
    """Whether a route, named without prefix, tells its errors as OpenAI's API does."""
    return path in OPENAI_POSTS or path == "/v1/models" or path.startswith("/v1/models/")


def access_of(path: str) -> Access:
    """What a route asks of its caller; everything not named is control."""
    plain = openai_path(path)
    if plain in _OPEN:
        return Access.OPEN
    if plain.startswith("/v1/models/") and "/files/" in plain:
        # The files themselves: for other machines of the colony.
        return Access.CONTROL
    if plain in OPENAI_POSTS or plain in _INFERENCE or plain.startswith(("/v1/models/", "/v1/infer/")):
        return Access.INFERENCE
    return Access.CONTROL


class Front:
    """Guard, request id, data plane, application: in this order.

    Args:
        app: the Litestar application, for everything but the data plane.
        guard: who may call what.
        direct: serves the OpenAI POST routes below ASGI; None where a program has none.
        data_plane: serves them as an ASGI application instead, with the arguments of a door.
        doors: routes of other APIs, by method and path.
        door_error: an error as such a route tells it.
        open_paths: further routes that ask nothing of their caller.
        spawned: judges the tokens of workers; None where no worker calls.
    """

    def __init__(
        self,
        app: AsgiApp,
        guard: Guard,
        *,
        direct: DirectRoutes | None = None,
        data_plane: Door | None = None,
        doors: Mapping[tuple[str, str], Door] = MappingProxyType({}),
        door_error: DoorError | None = None,
        open_paths: Collection[str] = (),
        spawned: SpawnTokens | None = None,
    ) -> None:
        self._spawned = spawned
        self._app = app
        self._guard = guard
        self.direct = direct
        self._data_plane = data_plane
        self._doors = doors
        self._door_paths = frozenset(path for _, path in doors)
        self._door_error = door_error
        self._open_paths = frozenset(open_paths)
        self._routes = routes_of(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(scope["headers"])
        method, path = scope["method"], openai_path(scope["path"])
        openai = errs_as_openai(path)
        origin = allowed_origin(self._guard, scope["headers"])
        if origin is not None:
            # Refusals too: without it a page could not read why.
            send = telling(send, origin)
        try:
            if is_preflight(method, scope["headers"]):
                # A browser sends no token with it; Host and Origin are checked all the same.
                self._guard.check(scope["headers"], Access.OPEN)
                await _send_preflight(send, scope["headers"])
                return
            door = self._doors.get((method, path))
            known = door is not None or path in OPENAI_POSTS or path in self._door_paths
            if not known and self._routes is not None and not self._routes.fullmatch(path):
                # Said before a token is asked for: whoever mistyped a path would look for a token in vain.
                self._guard.check(scope["headers"], Access.OPEN)
                raise NotFoundError(f"There is no route {scope['path']!r} here.")
            peer: Peer | None = scope.get("rbee.peer")
            worker = self._worker(scope["headers"]) if peer is None else None
            if worker is not None:
                peer = worker
                self._guard.check_place(scope["headers"])
                self._guard.check_peer(worker, (method, path))
            elif peer is not None and self._spawned is not None and self._spawned.has_ended(peer):
                raise AuthenticationError(f"Worker {peer.id!r} has ended: its certificate opens nothing more.")
            else:
                self._guard.check(scope["headers"], self._access(path), peer, (method, path))
            if peer is not None and self._spawned is not None:
                self._spawned.seen(peer)
            receive = within(receive)
            if door is None and path in OPENAI_POSTS:
                door = self._plane(method, path)
            if door is not None:
                scope.setdefault("state", {})["trusted"] = peer is not None or self._guard.knows(scope["headers"])
                await door(scope, receive, send, path=path, request_id=request_id)
                return
            if path in self._door_paths:
                raise MethodNotAllowedError(f"{path!r} does not take {method}.")
        except RbeeError as error:
            told = None if self._door_error is None else self._door_error(path, error, request_id)
            if path in self._door_paths and told is not None:
                await _send_answer(send, told)
            else:
                await send_error(send, error, openai=openai, request_id=request_id)
            return
        inner = dict(scope, path=path, raw_path=path.encode())
        inner.setdefault("state", {})
        trusted = peer is not None or self._guard.knows(scope["headers"])
        inner["state"] = dict(inner["state"], request_id=request_id, openai=openai, trusted=trusted, peer=peer)
        await self._app(inner, receive, send)

    def _worker(self, headers: Headers) -> Peer | None:
        """The worker whose spawn token was sent; None when none was.

        Raises:
            AuthenticationError: it opens nothing, or nothing more.
        """
        given = bearer(headers)
        if self._spawned is None or given is None or not given.startswith(PREFIX):
            return None
        peer = self._spawned.judge(given)
        if peer is None:
            raise AuthenticationError(
                "This worker's token opens nothing: its worker has ended, or is of another colony."
            )
        return peer

    def _access(self, path: str) -> Access:
        if path in self._open_paths:
            return Access.OPEN
        return Access.INFERENCE if path in self._door_paths else access_of(path)

    def _plane(self, method: str, path: str) -> Door:
        """What serves a POST on an OpenAI route by way of ASGI.

        Raises:
            MethodNotAllowedError, NotFoundError: nothing does.
        """
        if method != "POST":
            raise MethodNotAllowedError(f"{path!r} takes POST, not {method}.")
        if self._data_plane is None:
            raise NotFoundError(f"{path!r} is not served here; ask the queen.")
        return self._data_plane


def routes_of(app: AsgiApp) -> re.Pattern[str] | None:
    """A pattern of the application's paths; None for one that does not tell them."""
    routes = getattr(app, "routes", None)
    if routes is None:
        return None
    patterns = []
    for route in routes:
        parts = re.split(r"(\{[^}]*\})", route.path)
        patterns.append(
            "".join(
                re.escape(part) if not part.startswith("{") else ".+" if part.endswith(":path}") else "[^/]+"
                for part in parts
            ).replace("/.+", "/?.+")
        )
    return re.compile("|".join(patterns))


def within(receive: Receive) -> Receive:
    """The body must keep coming; after its end one may wait for the client's leaving as long as one likes."""
    coming = True

    async def timed() -> dict[str, Any]:
        nonlocal coming
        if not coming:
            return await receive()
        try:
            async with asyncio.timeout(_BODY_S):
                message = await receive()
        except TimeoutError as error:
            raise RequestTimeoutError(f"Nothing of the body came for {_BODY_S:.0f} s.") from error
        coming = bool(message.get("more_body", False))
        return message

    return timed


async def send_error(send: Send, error: BaseException, *, openai: bool, request_id: str) -> None:
    """Send an error as a whole answer."""
    told = public_error(error, where="the front door")
    await _send_answer(send, render(told, openai=openai, correlation_id=request_id))


async def _send_answer(send: Send, answer: ErrorResponse) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)})
    await send({"type": "http.response.body", "body": answer.body})


async def _send_preflight(send: Send, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": preflight_answer(headers)})
    await send({"type": "http.response.body", "body": b""})


def request_id_of(headers: list[tuple[bytes, bytes]]) -> str:
    """The caller's ``x-request-id`` if it is harmless, else a fresh one."""
    for name, value in headers:
        if name == b"x-request-id" and (found := harmless_id(value)):
            return found
    return f"req-{uuid.uuid4()}"


def harmless_id(value: bytes) -> str | None:
    """A caller's ``x-request-id``, None when it could do harm where it is repeated."""
    return value.decode("ascii") if _REQUEST_ID.fullmatch(value) else None
