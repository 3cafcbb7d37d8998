"""A request under way: its answers in the engine, and the telling of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rbee.contract.errors import RbeeError
from rbee.worker.tokens.answer import Answers, Piece
from rbee.worker.tokens.exchange import Exchange
from rbee.worker.tokens.lanes import Job
from rbee.worker.tokens.openai import Renderer, Usage
from rbee.worker.tokens.scheduler import Scheduler


class Running:
    """Submits the jobs of a request, all or none, and takes them out again at the end of the block, however it ends.

    Args:
        scheduler: of the engine.
        jobs: one for each answer.
        answers: where their results go.
        numbers: of the prompt of each; answers to one prompt have the same.
    """

    def __init__(self, scheduler: Scheduler, jobs: list[Job], answers: Answers, numbers: Sequence[int]) -> None:
        self._scheduler = scheduler
        self._jobs = jobs
        self.answers = answers
        self._firsts = [numbers.index(number) for number in sorted(set(numbers))]

    def __enter__(self) -> Self:
        try:
            for job in self._jobs:
                self._scheduler.submit(job)
        except RbeeError:
            self._cancel()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cancel()

    def end(self, error: RbeeError) -> None:
        """Drop the request; its reader gets the error."""
        self._cancel()
        self.answers.fail(error)

    @property
    def prompts(self) -> list[int]:
        """Tokens of the prompt of each answer."""
        return [len(job.request.prompt) for job in self._jobs]

    def usage(self) -> Usage:
        """Figures so far; a prompt counts once, however many answers it gets, as its first answer found it."""
        cached = [figure for first in self._firsts if (figure := self.answers.all[first].cached) is not None]
        return Usage(
            prompt=sum(len(self._jobs[first].request.prompt) for first in self._firsts),
            completion=self.answers.tokens,
            cached=sum(cached) if cached else None,
            reasoning=self.answers.reasoning_tokens,
            prompt_s=self._between("entered_at", "first_at"),
            decode_s=self._between("first_at", "last_at"),
        )

    def _between(self, start: str, end: str) -> float | None:
        """Seconds from one moment of the request to another; None where it has several answers, each with its own."""
        if len(self._jobs) != 1:
            return None
        began, ended = getattr(self._jobs[0], start), getattr(self._jobs[0], end)
        return None if began is None or ended is None else ended - began

    def _cancel(self) -> None:
        for job in self._jobs:
            self._scheduler.cancel(job)


class Telling:
    """Tells the answers of a request to its client.

    Args:
        running: the request.
        renderer: writes answers.
        exchange: with the client.
        came: when the request came, by the monotonic clock.
        progress: tell how far the prompt is.
    """

    def __init__(
        self, running: Running, renderer: Renderer, exchange: Exchange, came: float, *, progress: bool
    ) -> None:
        self._running = running
        self._renderer = renderer
        self._exchange = exchange
        self._came = came
        self._progress = progress
        self._begun: set[int] = set()

    async def stream(self) -> None:
        """As they come.  The head waits for the first news: what fails early fails as HTTP."""
        left = len(self._running.prompts)
        async for piece in self._running.answers:
            data = self._chunks(piece)
            left -= piece.finish is not None
            if not left:
                data += self._renderer.last(self._running.usage())
            if data:
                await self._exchange.stream(data, end=not left)

    async def whole(self) -> None:
        """When they are complete."""
        pieces: list[list[Piece]] = [[] for _ in self._running.prompts]
        async for piece in self._running.answers:
            pieces[piece.index].append(piece)
        await self._exchange.respond(self._renderer.whole(pieces, self._running.usage()))

    def _chunks(self, piece: Piece) -> bytes:
        data = b""
        if self._progress and piece.progress is not None and piece.index not in self._begun:
            total = self._running.prompts[piece.index]
            data = self._renderer.progress(piece.progress, total, time.monotonic() - self._came)
        new = self._renderer.delta(piece)
        if (new or piece.finish is not None) and piece.index not in self._begun:
            self._begun.add(piece.index)
            data += self._renderer.first(piece.index)
        data += new
        return data + self._renderer.ended(piece) if piece.finish is not None else data
