"""Refusals of an engine's own server, told as clients of OpenAI's API know them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rbee.contract.errors import RbeeError
from rbee.gateway.message import ELSEWHERE
from rbee.http.errors import render
from rbee.worker.face import Scope, Send

_ERRORS = 400
_SERVER_ERRORS = 500
_MOST = 64 * 1024
"""Bytes of a refusal that is read; what is longer is passed on."""


class Translating:
    """ASGI's `send` that holds refusals back until they can be read.

    Args:
        send: of ASGI.
        translate: an error for a status and a body; None to pass them on.
        request_id: of the request.
        elsewhere: the server is on another machine, or somebody else's: that it fails says nothing of the worker.
    """

    def __init__(
        self,
        send: Send,
        translate: Callable[[int, bytes], RbeeError | None],
        request_id: str,
        *,
        elsewhere: bool = False,
    ) -> None:
        self._send = send
        self._elsewhere = elsewhere
        self._translate = translate
        self._request_id = request_id
        self._head: dict[str, Any] | None = None
        self._body = b""

    async def __call__(self, message: Scope) -> None:
        """Take a message of the answer."""
        if message["type"] == "http.response.start" and message["status"] >= _ERRORS:
            if self._elsewhere and message["status"] >= _SERVER_ERRORS:
                message = {**message, "headers": [*message.get("headers", ()), (ELSEWHERE, b"1")]}
            self._head = message
            return
        if self._head is None or message["type"] != "http.response.body":
            await self._send(message)
            return
        self._body += message.get("body", b"")
        more = bool(message.get("more_body", False))
        if more and len(self._body) <= _MOST:
            return
        head, self._head = self._head, None
        error = None if more else self._translate(head["status"], self._body)
        if error is None:
            await self._send(head)
            await self._send({"type": "http.response.body", "body": self._body, "more_body": more})
            return
        told = render(error, openai=True, correlation_id=self._request_id)
        await self._send({"type": "http.response.start", "status": told.status, "headers": list(told.headers)})
        await self._send({"type": "http.response.body", "body": told.body, "more_body": False})
