"""What a connection does with requests that cannot be read, or not to their end: it says so and reads no further.

After such a request nobody can tell where the next begins.  What came before it is answered first, in order.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from rbee.contract.errors import InvalidRequestError, RbeeError
from rbee.http.direct import DRAINED_BYTES, DirectCycle, DirectRoutes
from rbee.http.errors import public_error, render
from rbee.http.upgrades import BodyParser

_DRAINED_S = 5.0
_LINGER_S = 1.0


class StrictProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which answers what cannot be read, then closes.

    Args:
        args: as uvicorn gives them.
        direct: serves some routes below ASGI; None where a program has none.
        kwargs: as uvicorn gives them.
    """

    def __init__(self, *args: Any, direct: DirectRoutes | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.url = b""
        self._direct = direct
        self.active: DirectCycle | None = None
        """The request below ASGI that is being answered: of several in a row, `cycle` is the last that came."""
        self._in_head = True
        self._body_bytes = 0
        self._refused: RbeeError | None = None
        self._framing: bytes | None = None
        """What frames the body of a request that offers to change the protocol."""
        self._head_timer: asyncio.TimerHandle | None = None
        self._closing_timer: asyncio.TimerHandle | None = None

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # Nothing here changes to another protocol; the request is served as if it had not offered to.
            rest = data[upgrade.args[0] :]
            if self._framing is not None:
                self.parser = BodyParser(self._framing, self)  # type: ignore[assignment]  # it stands for one
            if rest:
                self._feed(rest)
        except httptools.HttpParserCallbackError as error:
            told = error.__context__
            if told is None or isinstance(told, httptools.HttpParserError):
                self._refuse(_unreadable(told or error))
            else:
                self._refuse(public_error(told, where="a connection"))
        except httptools.HttpParserError as error:
            self._refuse(_unreadable(error))

    def _answered_early(self) -> None:
        """An answer was given before its request was whole."""
        if self.expect_100_continue and not self._body_bytes:
            # Whether the body comes now, only the client knows: what comes could be taken for it.
            self._hang_up()
        elif self._closing_timer is None:
            self._closing_timer = self.loop.call_later(_DRAINED_S, self._hang_up)

    def _drained(self) -> None:
        """More of a body whose request has been answered has come."""
        if self._body_bytes > DRAINED_BYTES and self._closing_timer is not None:
            self._hang_up()

    def _read_to_its_end(self) -> None:
        """A request is whole, which may have been answered already."""
        if self._closing_timer is not None and self._refused is None:
            self._closing_timer.cancel()
            self._closing_timer = None
            cycle: Any = self.cycle
            if not cycle.keep_alive:
                self._hang_up()

    def _refuse(self, error: RbeeError) -> None:
        """Nothing that comes after this is read; what came before is answered first."""
        self._refused = error
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        cycle: Any = self.cycle
        if cycle is not None and cycle.more_body:
            # This very request cannot be read.
            waits = bool(self.pipeline) and self.pipeline[0][0] is cycle
            if waits:
                self.pipeline.popleft()
            begun = cycle.response_started
            cycle.more_body = False
            if type(cycle) is DirectCycle:
                cycle.gone()
                if self.active is cycle:
                    self.active = None
            else:
                cycle.disconnected = True
                cycle.message_event.set()
            if not waits:
                if begun:
                    self._hang_up()
                else:
                    self._tell_refusal(error)
        elif cycle is None or (cycle.response_complete and not self.pipeline):
            self._tell_refusal(error)

    def _tell_refusal(self, error: RbeeError) -> None:
        openai = self._direct is not None and self._direct.takes(b"POST", self.url or b"") is not None
        told = render(error, openai=openai)
        lines = [b"%b: %b\r\n" % header for header in told.headers]
        self.transport.write(
            b"HTTP/1.1 %d %b\r\n%bconnection: close\r\n\r\n%b"
            % (told.status, HTTPStatus(told.status).phrase.encode(), b"".join(lines), told.body)
        )
        self._hang_up()

    def _hang_up(self) -> None:
        """Close, but not before the client could read what it was told: unread bytes would make that void."""
        if self._closing_timer is not None:
            self._closing_timer.cancel()
            self._closing_timer = None
        self._refused = self._refused or InvalidRequestError("The connection is being closed.")
        if self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._closing_timer = self.loop.call_later(_LINGER_S, self.transport.close)
        else:
            self.transport.close()


def _unreadable(error: BaseException) -> RbeeError:
    return InvalidRequestError(f"The request cannot be read: {str(error).rstrip('.')}.")
