"""The end of a cancelled answer on an OpenAI route, however far it has come."""

from __future__ import annotations

from rbee.contract.errors import CancelledByCallerError, RbeeError, RequestTimeoutError
from rbee.http.errors import render
from rbee.http.front import Scope, Send, send_error

_STREAM = b"text/event-stream"


class Ending:
    """Passes an answer on, and ends it properly when its engine was told to stop.

    Args:
        send: of ASGI.
        request_id: of the request.
    """

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self._begun = self._stream = self._over = False

    async def send(self, message: Scope) -> None:
        """ASGI's `send` for whoever answers."""
        await self._send(message)
        if message["type"] == "http.response.start":
            self._begun = True
            headers = {bytes(name).lower(): bytes(value) for name, value in message.get("headers", ())}
            self._stream = headers.get(b"content-type", b"").startswith(_STREAM)
        elif not message.get("more_body", False):
            self._over = True

    async def cancelled(self, *, late: bool = False) -> None:
        """Tell that the request was ended: as HTTP says it or, once a stream has begun, as its last event.

        Args:
            late: by its deadline.
        """
        error: RbeeError = CancelledByCallerError(f"Request {self._request_id!r} was cancelled.")
        if late:
            error = RequestTimeoutError("The request's deadline (X-Request-Deadline) has passed.")
        if not self._begun:
            await send_error(self._send, error, openai=True, request_id=self._request_id)
        elif self._stream and not self._over:
            event = b"data: " + render(error, openai=True, correlation_id=self._request_id).body + b"\n\n"
            await self._send({"type": "http.response.body", "body": event, "more_body": False})
        # Half a document cannot be mended: left incomplete, the server closes the line, which clients notice.
