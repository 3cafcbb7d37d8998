"""HTTP to another program of the colony."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx2
import msgspec

from rbee.clients.sse import SseEvent, decode
from rbee.contract.errors import RbeeError, UnreachableError, error_types

T = TypeVar("T")


class Transport:
    """One program's address with the colony's token; close it when done.

    Args:
        url: base address.
        token: sent as bearer token; None sends none.
        name: what to call the other side in messages.
        timeout_s: for a whole answer; streams wait without end between events.
    """

    def __init__(self, url: str, token: str | None, name: str, timeout_s: float = 10.0) -> None:
        self.url = url.rstrip("/")
        self.name = name
        headers = {"authorization": f"Bearer {token}"} if token else {}
        # The colony's machines are reached directly: a proxy of the environment would only see the token.
        self._client = httpx2.AsyncClient(
            base_url=self.url, headers=headers, timeout=timeout_s, trust_env=False, follow_redirects=False
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
        timeout_s: float | None = None,
    ) -> T:
        """One request and its answer.

        Args:
            method: HTTP method.
            path: route.
            kind: type of the answer; `type(None)` for one without a body.
            body: sent as JSON; None sends none.
            query: parameters.
            timeout_s: instead of the transport's.

        Raises:
            UnreachableError: no connection, or no answer in time.
            RbeeError: what the other side raised.
        """
        content = None if body is None else msgspec.json.encode(body)
        headers = {"content-type": "application/json"} if content is not None else {}
        timeout = httpx2.USE_CLIENT_DEFAULT if timeout_s is None else timeout_s
        try:
            response = await self._client.request(
                method, path, content=content, headers=headers, params=query, timeout=timeout
            )
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._unreachable(error) from error
        if response.status_code >= 400:
            raise error_from_body(response.status_code, response.content, where=f"{self.name} at {self.url}")
        if kind is type(None):
            return None
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.DecodeError as error:
            raise UnreachableError(
                f"{self.name} at {self.url} answered {method} {path} with something else than expected ({error}); "
                "another program may listen there."
            ) from error

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[AsyncIterator[SseEvent]]:
        """Server-sent events, as long as the context is open.

        Raises:
            UnreachableError: no connection, or it broke.
            RbeeError: what the other side raised.
        """
        content = None if body is None else msgspec.json.encode(body)
        sent = {"accept": "text/event-stream", **(headers or {})}
        if content is not None:
            sent["content-type"] = "application/json"
        timeout = httpx2.Timeout(10.0, read=None)
        try:
            async with self._client.stream(method, path, content=content, headers=sent, timeout=timeout) as response:
                if response.status_code >= 400:
                    raw = await response.aread()
                    raise error_from_body(response.status_code, raw, where=f"{self.name} at {self.url}")
                yield decode(response.aiter_raw())
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> UnreachableError:
        why = str(error) or type(error).__name__
        return UnreachableError(f"{self.name} at {self.url} does not answer: {why}.")


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
