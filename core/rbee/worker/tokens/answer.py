"""One request's answer on its way from the engine to its client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Literal, Self

import msgspec

from rbee.contract.engine import TokenEvent
from rbee.contract.errors import RbeeError
from rbee.worker.tokens.stops import StopFilter

Finish = Literal["stop", "length"]


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """What has come since the client last looked.

    Attributes:
        text: new text; empty when a token made no whole character yet or is held back.
        finish: set in the last piece.
        stop: the stop string that ended the answer, None when none did.
    """

    text: str
    finish: Finish | None = None
    stop: str | None = None


class Answer(AsyncIterator[Piece]):
    """Collects events and hands them out as pieces; lives on the event loop, with one reader.

    A reader slower than the engine gets fewer and longer pieces: what waits is kept as text, never as
    events.

    Args:
        stops: stop strings.

    Attributes:
        prompt_tokens: tokens of the prompt, None until the engine has told.
        tokens: tokens generated so far.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self.prompt_tokens: int | None = None
        self.tokens = 0
        self._filter = StopFilter(stops)
        self._text: list[str] = []
        self._finish: Finish | None = None
        self._error: RbeeError | None = None
        self._over = False
        self._news = asyncio.Event()

    def feed(self, event: TokenEvent) -> bool:
        """Take an event; True when a stop string ended the answer and the engine shall drop the request."""
        if self._closed:
            return False
        if event.prompt_tokens is not None:
            self.prompt_tokens = event.prompt_tokens
        if event.text or event.finish is None:
            self.tokens += 1
        if text := self._filter.feed(event.text):
            self._text.append(text)
        if self._filter.stopped is not None:
            self._finish = "stop"
        elif event.finish is not None:
            self._text.append(self._filter.flush())
            self._finish = "length" if event.finish == "length" else "stop"
        self._news.set()
        return self._filter.stopped is not None and event.finish is None

    def fail(self, error: RbeeError) -> None:
        """End the answer with an error, raised to the reader after the text that came before it."""
        if not self._closed:
            self._error = error
            self._news.set()

    @property
    def _closed(self) -> bool:
        return self._finish is not None or self._error is not None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Piece:
        """The next piece, as soon as there is any news.

        Raises:
            RbeeError: what `fail` was given.
        """
        if self._over:
            raise StopAsyncIteration
        await self._news.wait()
        text = "".join(self._text)
        self._text.clear()
        if self._error is not None:
            if text:
                return Piece(text=text)
            self._over = True
            raise self._error
        self._news.clear()
        self._over = self._finish is not None
        return Piece(text=text, finish=self._finish, stop=self._filter.stopped)
