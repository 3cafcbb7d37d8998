"""A door: takes a request of another API, calls the gateway, and tells the answer in that API's words."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec

from rbee.contract.errors import InvalidRequestError, WorkerFailedError
from rbee.doors.refusal import Refusal, refusal_in, refusal_of, refused
from rbee.doors.writing import Translator
from rbee.gateway.body import read_body
from rbee.gateway.calls import Answer, Call, Calls
from rbee.http.errors import public_error
from rbee.http.guard import is_loopback

log = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Door = Callable[..., Awaitable[None]]
"""Serves ``(scope, receive, send, path=..., request_id=...)``."""
Headers = list[tuple[bytes, bytes]]

PING_S = 15.0
LARGEST_ANSWER = 64 * 1024 * 1024
LARGEST_ERROR = 1024 * 1024

# What the client says of its own body and of the answer in its own API, which the worker gets and gives otherwise.
_OF_THE_CLIENT = frozenset(
    {b"accept", b"accept-encoding", b"content-encoding", b"content-md5", b"content-type", b"digest"}
)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came.

    Attributes:
        request_id: unique.
        trusted: the caller has sent the colony's token.
        body: all of it.
    """

    request_id: str
    trusted: bool
    body: bytes


class Translated(msgspec.Struct, frozen=True, kw_only=True):
    """A request in OpenAI's words, and how its answer is told.

    Attributes:
        path: OpenAI path that is called.
        body: JSON for it.
        whole: makes the client's answer of the worker's whole one; may raise RbeeError.
        stream: makes the client's stream of the worker's; None where a whole answer is asked for.
        on_answer: called when a worker has taken it, before anything of the answer is told; may raise RbeeError.
        headers: for the gateway, in place of the client's of these names.
        done: the whole answer, where nobody has to be asked; None when the call is to be made.
    """

    path: str
    body: bytes
    whole: Callable[[bytes], bytes]
    stream: Translator | None = None
    on_answer: Callable[[], None] = lambda: None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    done: bytes | None = None


class Translation(ABC):
    """What is particular to one route of another API."""

    @abstractmethod
    async def translate(self, asked: Asked) -> Translated:
        """The request in OpenAI's words.

        Raises:
            RbeeError: it cannot be, with the parameter that is at fault.
        """


class TranslatingDoor:
    """Serves one route by a translation.

    Args:
        calls: the gateway.
        translation: of the route.
        max_body: bytes a request may have.
        ping_s: seconds without anything to tell after which a stream is told that the line holds.
    """

    def __init__(self, calls: Calls, translation: Translation, max_body: int, ping_s: float = PING_S) -> None:
        self.calls = calls
        self.translation = translation
        self.max_body = max_body
        self.ping_s = ping_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send, *, path: str, request_id: str) -> None:
        """Serve one request, to its end or the client's leaving."""
        await _Exchange(self, scope, receive, send, path, request_id).serve()


class _Exchange:
    """One request: what has been sent, by whom, and when."""

    def __init__(
        self, door: TranslatingDoor, scope: Scope, receive: Receive, send: Send, path: str, request_id: str
    ) -> None:
        self._door = door
        self._scope, self._receive, self._send = scope, receive, send
        self._path, self._request_id = path, request_id
        self._task = asyncio.current_task()
        self._helpers: list[asyncio.Task[None]] = []
        self._sending = asyncio.Lock()
        self._sent_at = time.monotonic()
        self._stream: Translator | None = None
        self._begun = self._ended = False
        self._gone = False

    async def serve(self) -> None:
        try:
            await self._serve()
        except asyncio.CancelledError:
            if not self._gone:
                raise
            if self._task is not None:
                self._task.uncancel()
        finally:
            for helper in self._helpers:
                helper.cancel()

    async def _serve(self) -> None:
        try:
            body = await read_body(self._receive, self._scope, self._door.max_body)
            trusted = bool(self._scope.get("state", {}).get("trusted", False))
            asked = Asked(request_id=self._request_id, trusted=trusted, body=body)
            try:
                translated = await self._door.translation.translate(asked)
            except RecursionError as error:
                raise InvalidRequestError("The body is nested too deeply.") from error
            self._stream = translated.stream
            self._helpers.append(asyncio.create_task(self._watch_client(), name="a door's client"))
            if self._stream is not None and self._stream.writer.ping is not None:
                self._helpers.append(asyncio.create_task(self._ping(self._stream), name="a door's pings"))
            await self._carry(translated, trusted)
        except Exception as error:
            if self._gone:
                return
            await self._tell(refusal_of(public_error(error, where=self._path)))

    async def _carry(self, translated: Translated, trusted: bool) -> None:
        if translated.done is not None:
            await self._send_whole(200, [*self._own_headers(), (b"content-type", b"application/json")], translated.done)
            return
        own = dict(translated.headers)
        call = Call(
            request_id=self._request_id,
            path=translated.path,
            body=translated.body,
            headers=(*_for_worker(one for one in self._scope["headers"] if one[0] not in own), *own.items()),
            trusted=trusted,
            local=is_loopback((self._scope.get("client") or ("",))[0]),
            door=self._path,
        )
        async with self._door.calls.open(call) as answer:
            if answer.status >= 400:
                body = await _all_of(answer, LARGEST_ERROR)
                await self._tell(refusal_in(answer.status, answer.headers, body))
                return
            if answer.stream != (translated.stream is not None):
                raise WorkerFailedError("The worker answered in another form than it was asked for.")
            translated.on_answer()
            extra = _for_client(answer.headers)
            if translated.stream is None:
                whole = translated.whole(await _all_of(answer, LARGEST_ANSWER))
                await self._send_whole(
                    200, [*self._own_headers(), *extra, (b"content-type", b"application/json")], whole
                )
                return
            await self._pass_on(answer, translated.stream, extra)

    async def _pass_on(self, answer: Answer, stream: Translator, extra: Headers) -> None:
        while (data := await answer.read()) is not None:
            told = stream.feed(data)
            if stream.refusal is not None and not stream.begun and not self._begun:
                # Nothing has been said yet: the error gets its status.
                await self._tell(stream.refusal)
                return
            if told:
                await self._write(told, extra)
            if stream.refusal is not None:
                break
        await self._write(stream.end(), extra, last=True)

    async def _watch_client(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        if self._task is not None:
            self._task.cancel()

    async def _ping(self, stream: Translator) -> None:
        every = self._door.ping_s
        while not stream.over:
            await asyncio.sleep(max(0.001, self._sent_at + every - time.monotonic()))
            if time.monotonic() - self._sent_at >= every and not stream.over:
                await self._write(stream.writer.ping or b"", [])

    async def _write(self, data: bytes, extra: Headers, *, last: bool = False) -> None:
        """More of a stream, after its head if it is the first."""
        async with self._sending:
            if self._ended or self._stream is None:
                return
            if not self._begun:
                kind = self._stream.writer.media_type
                head = [(b"content-type", kind), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
                await self._start(200, [*self._own_headers(), *extra, *head])
            self._ended = last
            await self._send({"type": "http.response.body", "body": data, "more_body": not last})
            self._sent_at = time.monotonic()

    async def _tell(self, refusal: Refusal) -> None:
        """An error: the whole answer or, where the answer has begun, its end."""
        if not self._begun:
            told = refused(self._path, refusal, self._request_id)
            await self._send_whole(told.status, list(told.headers), told.body)
        if self._stream is not None:
            await self._write(self._stream.fail(refusal), [], last=True)
        # Half a document cannot be mended: left incomplete, the server closes the line, which clients notice.

    async def _send_whole(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer, unless a stream has begun meanwhile."""
        async with self._sending:
            if self._begun:
                return
            if not any(name == b"content-length" for name, _ in headers):
                headers.append((b"content-length", str(len(body)).encode()))
            await self._start(status, headers)
            self._ended = True
            await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _start(self, status: int, headers: Headers) -> None:
        self._begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    def _own_headers(self) -> Headers:
        """The request's id by the names that clients of the APIs know."""
        value = self._request_id.encode("latin-1", "replace")
        return [(b"x-request-id", value), (b"request-id", value)]


def _for_worker(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """The client's headers without what is said of a body that the worker does not get."""
    kept = ((name, value) for name, value in headers if name not in _OF_THE_CLIENT)
    return (*kept, (b"content-type", b"application/json"))


def _for_client(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The gateway's own words about the answer: which worker, which limits."""
    return [(name, value) for name, value in headers if name.startswith((b"x-rbee-", b"x-ratelimit-"))]


async def _all_of(answer: Answer, limit: int) -> bytes:
    parts = []
    size = 0
    while (part := await answer.read()) is not None:
        size += len(part)
        if size > limit:
            raise WorkerFailedError(f"The worker's answer has more than {limit} bytes.")
        parts.append(part)
    return b"".join(parts)
