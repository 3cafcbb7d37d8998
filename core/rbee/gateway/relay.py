"""The relay: passes requests to workers and the answers back as they come, without a task for what does not wait."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from rbee.contract.errors import UnavailableError
from rbee.contract.tracing import Tracer
from rbee.contract.wire import RequestRecord
from rbee.gateway.asked import Asked
from rbee.gateway.dispatch import Dispatcher
from rbee.gateway.passage import Passage
from rbee.gateway.pool import Pool
from rbee.gateway.sink import Sink

log = logging.getLogger(__name__)


class Relay:
    """Serves requests on the OpenAI routes; belongs to one event loop.

    Args:
        dispatcher: finds a place for each request.
        pool: connections to workers.
        observe: told each request when it has ended.
        tracer: of spans; None when nobody wants them.
        keep_alive_s: seconds between two comments on a stream whose request still waits.
        hop: what the queen is called among those that a request has come through; empty where it is no queen's.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        pool: Pool,
        observe: Callable[[RequestRecord], None] = lambda _: None,
        tracer: Tracer | None = None,
        keep_alive_s: float = 15.0,
        hop: bytes = b"",
    ) -> None:
        self.dispatcher = dispatcher
        self.pool = pool
        self.observe = observe
        self.tracer = tracer
        self.keep_alive_s = keep_alive_s
        self.hop = hop
        self._open: set[Passage] = set()
        self._draining = False
        self._empty = asyncio.Event()

    def serve(self, asked: Asked, sink: Sink) -> Passage:
        """Begin to serve a request; the sink is told of its answer, perhaps before this returns."""
        passage = Passage(self, asked, sink)
        self._open.add(passage)
        if self._draining:
            passage.refuse(UnavailableError("The queen is stopping; ask again in a moment.", retry_after_s=5))
        else:
            passage.start()
        return passage

    def over(self, passage: Passage, record: RequestRecord) -> None:
        """For a passage: it has ended."""
        self._open.discard(passage)
        if self._draining and not self._open:
            self._empty.set()
        try:
            self.observe(record)
        except Exception:
            log.exception("what observes requests failed")

    @property
    def open_requests(self) -> int:
        """Requests on their way."""
        return len(self._open)

    async def drain(self, within_s: float) -> int:
        """Refuse new requests and wait for the open ones; returns how many are still open when the time is up."""
        self._draining = True
        if self._open:
            log.info("finishing %d open requests, for at most %g s", len(self._open), within_s)
            try:
                async with asyncio.timeout(within_s):
                    await self._empty.wait()
            except TimeoutError:
                pass
        return len(self._open)

    def close(self) -> None:
        """End what is still open; its workers take that as a cancellation."""
        for passage in list(self._open):
            passage.refuse(UnavailableError("The queen has stopped; ask again in a moment.", retry_after_s=5))
