"""HTTP to the worker under examination, which may answer anything."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, TypeVar

import httpx2
import msgspec

from rbee.clients.sse import decode
from rbee.conformance.checks import BrokenPromiseError

T = TypeVar("T")

_SHOWN = 200
_DONE = "[DONE]"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer.

    Attributes:
        asked: method and path.
        status: of HTTP.
        headers: names in lower case.
        body: as it came.
    """

    asked: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def __str__(self) -> str:
        """What it was, cut to a line, for findings."""
        said = self.body.decode("utf-8", "replace")
        return f"{self.asked} answered {self.status} {said[:_SHOWN]}".rstrip()

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            BrokenPromiseError: it is none.
        """
        try:
            return json.loads(self.body)
        except ValueError:
            raise BrokenPromiseError(f"{self}, which is no JSON") from None

    def read(self, kind: type[T], *, status: int = 200) -> T:
        """The body as a type of the contract.

        Raises:
            BrokenPromiseError: another status, or another shape.
        """
        if self.status != status:
            raise BrokenPromiseError(f"{self}; {status} was expected")
        return shaped(self.json(), kind, self.asked)


def shaped(value: Any, kind: type[T], what: str) -> T:
    """A decoded value as a type of the contract.

    Raises:
        BrokenPromiseError: it has another shape.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise BrokenPromiseError(f"{what}: {error}") from None


class Stream:
    """A streamed answer under way.

    Args:
        asked: method and path.
        response: whose body has not been read.
    """

    def __init__(self, asked: str, response: httpx2.Response) -> None:
        self._asked = asked
        self._response = response
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}

    async def events(self) -> AsyncGenerator[Any]:
        """Each event's JSON as it comes; the text ``[DONE]`` for itself.

        Raises:
            BrokenPromiseError: an event is no JSON.
        """
        async with contextlib.aclosing(decode(self._response.aiter_bytes())) as events:
            async for event in events:
                if event.data == _DONE:
                    yield _DONE
                    continue
                try:
                    # Not msgspec's decoder: half a surrogate pair is for a check of its own to find.
                    yield json.loads(event.data)
                except ValueError:
                    raise BrokenPromiseError(f"{self._asked}: the event {event.data[:_SHOWN]!r} is no JSON") from None


class Http:
    """Requests to one worker; close it when done.

    Args:
        url: base address.
        token: sent with every request unless it says otherwise.
        timeout_s: for the head of an answer, and for each further piece.
    """

    def __init__(self, url: str, token: str | None, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self._client = httpx2.AsyncClient(
            base_url=self.url,
            timeout=timeout_s,
            follow_redirects=False,
            trust_env=False,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=8),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        with_token: bool = True,
    ) -> Answer:
        """One request and its whole answer.

        Args:
            method: of HTTP.
            path: route.
            body: sent as JSON; bytes as they are, None not at all.
            headers: further ones; an ``authorization`` goes before the token.
            with_token: send the token, where there is one.
        """
        response = await self._client.request(method, path, **self._parts(body, headers, with_token=with_token))
        told = {name.lower(): value for name, value in response.headers.items()}
        return Answer(asked=f"{method} {path}", status=response.status_code, headers=told, body=response.content)

    @contextlib.asynccontextmanager
    async def stream(self, path: str, body: Any, *, headers: Mapping[str, str] | None = None) -> AsyncIterator[Stream]:
        """A streamed answer; leaving the block before its end closes the connection.

        Raises:
            BrokenPromiseError: it was refused.
        """
        parts = self._parts(body, headers)
        async with self._client.stream("POST", path, **parts) as response:
            if response.status_code != 200:
                told = Answer(
                    asked=f"POST {path}", status=response.status_code, headers={}, body=await response.aread()
                )
                raise BrokenPromiseError(f"{told}; 200 was expected")
            yield Stream(f"POST {path}", response)

    def _parts(self, body: Any, headers: Mapping[str, str] | None, *, with_token: bool = True) -> dict[str, Any]:
        sent = dict(headers or {})
        if with_token and self.token is not None:
            sent.setdefault("authorization", f"Bearer {self.token}")
        if body is None:
            return {"headers": sent}
        sent.setdefault("content-type", "application/json")
        return {"headers": sent, "content": body if isinstance(body, bytes) else json.dumps(body).encode()}
