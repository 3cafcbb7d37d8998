"""HTTP to another program of the colony."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from rbee.clients.credentials import Credentials
from rbee.clients.sse import SseEvent, decode
from rbee.clients.who import Who
from rbee.contract.errors import RbeeError, UnreachableError, error_types

T = TypeVar("T")

LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of a whole answer; what sends more is not a program of the colony."""

SILENCE_S = 45.0
"""A stream without a byte for so long is taken for broken: the other side sends a comment every 15 s."""


def segment(name: str) -> str:
    """A name as one part of a path: an id with a slash or a question mark must not lead to another route."""
    # Dots alone would be taken for folders.
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")


class Transport:
    """One program's address, with what is shown to it; close it when done.

    Args:
        url: base address.
        credentials: shown to the other side.
        who: the other side.
        timeout_s: for a whole answer.
        silence_s: how long a stream may say nothing, not even a comment.
    """

    def __init__(
        self, url: str, credentials: Credentials, who: Who, timeout_s: float = 10.0, silence_s: float = SILENCE_S
    ) -> None:
        self.url = url.rstrip("/")
        self.name = who.title
        context = credentials.context(self.url)
        # Wherever it is, it has to prove to be who is meant.
        self._server_name = None if context is None else who.server_name
        self._timeout_s = timeout_s
        self._silence_s = silence_s
        # The colony's machines are reached directly: a proxy of the environment would only see the token.
        self._client = httpx2.AsyncClient(
            base_url=self.url,
            headers=credentials.headers(self.url),
            timeout=timeout_s,
            follow_redirects=False,
            trust_env=False,
            transport=httpx2.AsyncHTTPTransport(
                # Reading the system's certificates takes longer than a whole exchange; plain HTTP has no use for them.
                verify=context or self.url.startswith("https:"),
                trust_env=False,
                socket_options=_keepalive(),
            ),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def call(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> T:
        """One request and its answer.

        Args:
            method: HTTP method.
            path: route.
            kind: type of the answer; `type(None)` for one without a body.
            body: sent as JSON; None sends none.
            query: parameters.
            headers: further ones.
            timeout_s: instead of the transport's.

        Raises:
            UnreachableError: no connection, or no answer in time.
            RbeeError: what the other side raised.
        """
        content = None if body is None else msgspec.json.encode(body)
        sent = {**(headers or {}), **({"content-type": "application/json"} if content is not None else {})}
        within_s = self._timeout_s if timeout_s is None else timeout_s
        self._check_open()
        try:
            request = self._client.build_request(
                method,
                path,
                content=content,
                headers=sent,
                params=query,
                timeout=within_s,
                extensions=self._proof(),
            )
            # httpx's limit holds for each read: one who sends a byte now and then would be waited for without end.
            async with asyncio.timeout(within_s):
                status, raw = await self._exchange(request)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._unreachable(error) from error
        except TimeoutError as error:
            raise self._unreachable(error, f"no whole answer came within {within_s:g} s") from error
        if status >= 400:
            raise error_from_body(status, raw, where=f"{self.name} at {self.url}")
        if kind is type(None):
            return None
        return self.decode(raw, kind, f"{method} {path}")

    def _proof(self) -> dict[str, str]:
        """What a connection for a request has to prove, in httpx's terms; a new one, which httpx writes into."""
        return {} if self._server_name is None else {"sni_hostname": self._server_name}

    async def _exchange(self, request: httpx2.Request) -> tuple[int, bytes]:
        """Status and body of an answer."""
        response = await self._client.send(request, stream=True)
        try:
            body = bytearray()
            async with aclosing(response.aiter_bytes()) as chunks:
                async for chunk in chunks:
                    body += chunk
                    if len(body) > LARGEST_ANSWER:
                        raise UnreachableError(
                            f"{self.name} at {self.url} answered with more than {LARGEST_ANSWER} bytes; "
                            "another program may listen there."
                        )
            return response.status_code, bytes(body)
        finally:
            await response.aclose()

    def decode(self, raw: bytes | str, kind: type[T], what: str) -> T:
        """JSON from the other side; the one place where it becomes a type.

        Args:
            raw: a body, or the data of an event.
            kind: what it should be.
            what: the request it answers, for the message.

        Raises:
            UnreachableError: it is something else.
        """
        try:
            return msgspec.json.decode(raw, type=kind)
        except msgspec.DecodeError as error:
            raise UnreachableError(
                f"{self.name} at {self.url} answered {what} with something else than expected ({error}); "
                "another program, or another version, may listen there."
            ) from error

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        answer_s: float | None = SILENCE_S,
    ) -> AsyncIterator[AsyncIterator[SseEvent]]:
        """Server-sent events, as long as the context is open.

        Args:
            method: HTTP method.
            path: route.
            body: sent as JSON; None sends none.
            headers: further ones.
            query: parameters.
            answer_s: how long the answer's head may take; None for ever, where it comes with the first token.

        Raises:
            UnreachableError: no connection, or it broke, or it fell silent.
            RbeeError: what the other side raised.
        """
        content = None if body is None else msgspec.json.encode(body)
        sent = {"accept": "text/event-stream", **(headers or {})}
        if content is not None:
            sent["content-type"] = "application/json"
        # Head and body have limits of their own, which httpx's one for every read cannot tell apart.
        timeout = httpx2.Timeout(10.0, read=None)
        self._check_open()
        try:
            request = self._client.build_request(
                method,
                path,
                content=content,
                headers=sent,
                params=query,
                timeout=timeout,
                extensions=self._proof(),
            )
            async with asyncio.timeout(answer_s):
                response = await self._client.send(request, stream=True)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._unreachable(error) from error
        except TimeoutError as error:
            raise self._unreachable(error, f"nothing came within {answer_s:.0f} s") from error
        try:
            async with aclosing(self._chunks(response)) as chunks:
                if response.status_code >= 400:
                    raw = bytearray()
                    async for chunk in chunks:
                        raw += chunk
                        if len(raw) > LARGEST_ANSWER:
                            break
                    raise error_from_body(response.status_code, bytes(raw), where=f"{self.name} at {self.url}")
                async with aclosing(decode(chunks)) as events:
                    yield events
        finally:
            await response.aclose()

    async def _chunks(self, response: httpx2.Response) -> AsyncGenerator[bytes]:
        """The body, as long as it does not fall silent: a machine without power does not say good-bye."""
        async with aclosing(response.aiter_raw()) as body:
            while True:
                try:
                    async with asyncio.timeout(self._silence_s):
                        chunk = await anext(body)
                except StopAsyncIteration:
                    return
                except httpx2.HTTPError as error:
                    raise self._unreachable(error) from error
                except TimeoutError as error:
                    raise self._unreachable(error, f"its stream was silent for {self._silence_s:.0f} s") from error
                yield chunk

    def _check_open(self) -> None:
        """Whoever goes on asking at an address that was given up meanwhile has simply not reached it."""
        if self._client.is_closed:
            raise UnreachableError(f"{self.name} is no longer asked at {self.url}.")

    def _unreachable(self, error: Exception, why: str | None = None) -> UnreachableError:
        why = why or str(error) or type(error).__name__
        return UnreachableError(f"{self.name} at {self.url} does not answer: {why}.")


def _keepalive() -> list[tuple[int, int, int]]:
    """Socket options by which the system notices within a minute that the other machine is gone."""
    # The second is what macOS calls the first.
    wanted = {"TCP_KEEPIDLE": 20, "TCP_KEEPALIVE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 4}
    found = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    # Not every system has all of them.
    found += [
        (socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in wanted.items() if hasattr(socket, name)
    ]
    return found


def error_from_body(status: int, body: bytes, *, where: str) -> RbeeError:
    """The error that another program answered with, as the exception it was there.

    Args:
        status: HTTP status of the answer.
        body: body of the answer, in either envelope or anything else.
        where: who answered, for the message when the body says nothing.
    """
    try:
        found = msgspec.json.decode(body)["error"]
        code, message = str(found["code"]).upper(), str(found["message"])
        details = found.get("details") or {}
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return RbeeError(f"{where} answered {status} without saying why.")
    kind = error_types().get(code, RbeeError)
    return kind(message, details=details if isinstance(details, dict) else {})
