"""The gateway for callers inside the process: doors that translate another API into OpenAI's and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager

import msgspec

Headers = tuple[tuple[bytes, bytes], ...]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request to the gateway.

    Attributes:
        request_id: unique; told to the worker, and in every record of the request.
        path: OpenAI path without prefix, ``/v1/chat/completions``.
        body: JSON object with `model`, and `stream` where events are wanted.
        headers: the client's, lower-case names; what a worker must not see is left out on the way.
        trusted: the caller has sent the colony's token.
        local: the caller is on this machine; see `Asked`.
        door: path that the client called, for records and metrics.
    """

    request_id: str
    path: str
    body: bytes
    headers: Headers = ()
    trusted: bool = False
    local: bool = False
    door: str


class Answer(ABC):
    """An answer whose body is still coming.

    Attributes:
        status: HTTP status of the worker; from 400 on the body is an error in OpenAI's envelope.
        headers: for the client, lower-case names: the worker's end-to-end headers and the gateway's own.
        stream: the body is server-sent events.
    """

    status: int
    headers: Headers
    stream: bool

    @abstractmethod
    async def read(self) -> bytes | None:
        """All of the body that has come since the last call, waiting for some; None at its end.

        Raises:
            RbeeError: the worker died and nobody could go on for it.
        """


class Calls(ABC):
    """Opens calls: places, sends, retries and records them like requests that came by the network."""

    @abstractmethod
    def open(self, call: Call) -> AbstractAsyncContextManager[Answer]:
        """An answer for as long as the block lasts; leaving it early cancels the request and frees the slot.

        Raises:
            RbeeError: on entering: there is no place, or no worker could be reached.
        """
