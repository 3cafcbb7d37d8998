"""Answers on their way from the engine to their client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Literal, NamedTuple, Self

import msgspec

from rbee.contract.errors import RbeeError
from rbee.contract.token_engine import TokenEvent
from rbee.worker.tokens.calls import CallDelta
from rbee.worker.tokens.lanes import Finish
from rbee.worker.tokens.reading import Read, Reading

Why = Literal["stop", "length", "tool_calls"]


class Drawn(NamedTuple):
    """A token with its log probabilities."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]


class Progress(NamedTuple):
    """How far a prompt is: tokens done, and of these taken from a cache."""

    done: int
    cached: int | None


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """What has come of one answer since the client last looked.

    Attributes:
        index: of the answer, from 0.
        content: new text; empty when a token made no whole character yet or is held back.
        reasoning: new reasoning.
        calls: new pieces of calls.
        drawn: the tokens, where log probabilities were asked for.
        progress: of the prompt, where it moved.
        finish: set in the last piece.
        stop: the stop string that ended the answer, None when none did.
    """

    index: int = 0
    content: str = ""
    reasoning: str = ""
    calls: tuple[CallDelta, ...] = ()
    drawn: tuple[Drawn, ...] = ()
    progress: Progress | None = None
    finish: Why | None = None
    stop: str | None = None


class Answer:
    """Collects the events of one answer; lives on the event loop.

    A reader slower than the engine gets fewer and longer pieces: what waits is kept as text, never as events.

    Args:
        reading: of its tokens.
        index: among the answers to the request.
        news: set when there is something to take.

    Attributes:
        tokens: generated so far.
        reasoning_tokens: of these, reasoning.
        cached: tokens of the prompt taken from a cache; None where the engine does not tell.
        over: the last piece was taken.
    """

    def __init__(self, reading: Reading, index: int, news: asyncio.Event) -> None:
        self._reading = reading
        self._index = index
        self._news = news
        self.tokens = 0
        self.reasoning_tokens = 0
        self.cached: int | None = None
        self.over = False
        self._read: list[Read] = []
        self._drawn: list[Drawn] = []
        self._progress: Progress | None = None
        self._finish: Why | None = None
        self._error: RbeeError | None = None
        self._fresh = False

    def feed(self, event: TokenEvent, finish: Finish | None) -> bool:
        """Take an event; True when the answer has ended with it, and the engine shall drop the request."""
        if self._closed:
            return False
        if event.cached is not None:
            self.cached = event.cached
        if event.prompt_done is not None:
            self._progress = Progress(event.prompt_done, self.cached)
        if event.token is not None:
            self._take(event, ended=finish == "end")
        ended = self._reading.over
        if ended or finish is not None:
            self._read.append(self._reading.flush())
            self._finish = "length" if finish == "length" and not ended else "stop"
            if self._finish == "stop" and self._reading.called:
                self._finish = "tool_calls"
        self._fresh = True
        self._news.set()
        return ended and finish is None

    def _take(self, event: TokenEvent, *, ended: bool) -> None:
        assert event.token is not None  # noqa: S101  # the caller has looked
        self.tokens += 1
        if ended:
            return
        if self._reading.thinking:
            self.reasoning_tokens += 1
        self._read.append(self._reading.feed(event.token))
        if event.logprob is not None:
            self._drawn.append(Drawn(event.token, event.logprob, event.top))

    def fail(self, error: RbeeError) -> None:
        """End the answer with an error, raised to the reader after the text that came before it."""
        if not self._closed:
            self._error = error
            self._fresh = True
            self._news.set()

    @property
    def _closed(self) -> bool:
        return self._finish is not None or self._error is not None

    def take(self) -> Piece | None:
        """What has come since the last time; None when nothing has.

        Raises:
            RbeeError: what `fail` was given, once all that came before it was taken.
        """
        if not self._fresh or self.over:
            return None
        reads, self._read = self._read, []
        drawn, self._drawn = self._drawn, []
        progress, self._progress = self._progress, None
        if self._error is not None and not any(any(read) for read in reads):
            self.over = True
            raise self._error
        self._fresh = self._error is not None
        self.over = self._finish is not None
        return Piece(
            index=self._index,
            content="".join(read.content for read in reads),
            reasoning="".join(read.reasoning for read in reads),
            calls=tuple(call for read in reads for call in read.calls),
            drawn=tuple(drawn),
            progress=progress,
            finish=self._finish,
            stop=self._reading.stop,
        )


class Answers(AsyncIterator[Piece]):
    """All answers to one request, for one reader.

    Args:
        readings: one for each answer.

    Attributes:
        all: them, in their order.
    """

    def __init__(self, readings: Sequence[Reading]) -> None:
        self._news = asyncio.Event()
        self.all = tuple(Answer(reading, index, self._news) for index, reading in enumerate(readings))
        self._next = 0

    @property
    def tokens(self) -> int:
        """Generated so far, in all of them."""
        return sum(answer.tokens for answer in self.all)

    @property
    def reasoning_tokens(self) -> int:
        """Of these, reasoning."""
        return sum(answer.reasoning_tokens for answer in self.all)

    def fail(self, error: RbeeError) -> None:
        """End all of them with an error."""
        for answer in self.all:
            answer.fail(error)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Piece:
        """The next piece of any answer, as soon as there is news; no answer keeps the others waiting.

        Raises:
            RbeeError: what `fail` was given.
        """
        while True:
            for _ in self.all:
                answer = self.all[self._next]
                self._next = (self._next + 1) % len(self.all)
                if (piece := answer.take()) is not None:
                    return piece
            if all(answer.over for answer in self.all):
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
