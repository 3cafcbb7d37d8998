"""A processor or a GPU that computes answers: what runs at the same time shares its speed."""

from __future__ import annotations

from collections.abc import Callable

from rbee.contract.types import Device
from rbee.simulation.clock import Clock
from rbee.simulation.requests import Request
from rbee.simulation.workers import Worker

_LITTLE = 1e-5
"""Tokens that are no more than what the arithmetic loses."""


class Stream:
    """An answer that a worker computes.

    Attributes:
        request: that is answered.
        worker: that answers it.
        computed: tokens of the prompt that had to be computed.
        left: tokens of the prompt or, once it is computed, of the answer that are still to be computed.
        prefilling: of the prompt.
        rate: tokens a second at the moment.
        sent_at: simulated seconds.
        first_at: simulated seconds of the first token; 0 before.
        beside: requests that were with the worker already when this one came.
    """

    __slots__ = ("beside", "computed", "first_at", "left", "prefilling", "rate", "request", "sent_at", "worker")

    def __init__(self, request: Request, worker: Worker, computed: int, sent_at: float) -> None:
        self.request = request
        self.worker = worker
        self.computed = computed
        self.left = float(computed)
        self.prefilling = True
        self.rate = 0.0
        self.sent_at = sent_at
        self.first_at = 0.0
        self.beside = worker.running - 1


class SimulatedDevice:
    """Processor sharing: workers that compute at the same time get equal parts of the device.

    Within a worker, prompts share its prefill speed, and each answer gets the speed that the worker gives to one of
    as many as it has open.

    Args:
        device: as its hive tells it.
        memory: free bytes of it, None for memory of the machine.
        clock: simulated time.
        ended: told of each stream that has ended.
    """

    def __init__(self, device: Device, memory: int | None, clock: Clock, ended: Callable[[Stream], None]) -> None:
        self.device = device
        self.memory_free = memory
        self.busy_s = 0.0
        self.streams: list[Stream] = []
        self._clock = clock
        self._ended = ended
        self._since = 0.0
        self._version = 0

    def busy_until_now(self) -> float:
        """Seconds in which it computed, so far."""
        return self.busy_s + (self._clock.now - self._since if self.streams else 0.0)

    def add(self, stream: Stream) -> None:
        """A stream begins."""
        self._advance()
        self.streams.append(stream)
        self._plan()

    def _advance(self) -> None:
        took = self._clock.now - self._since
        self._since = self._clock.now
        if self.streams and took > 0:
            self.busy_s += took
            for stream in self.streams:
                stream.left -= stream.rate * took

    def _plan(self) -> None:
        """Speeds from now on, and when the next stream comes to an end with them."""
        self._version += 1
        streams = self.streams
        if not streams:
            return
        active: dict[Worker, int] = {}
        for stream in streams:
            active[stream.worker] = active.get(stream.worker, 0) + stream.prefilling
        soonest = float("inf")
        for stream in streams:
            worker = stream.worker
            speed = worker.prefill_tok_s / active[worker] if stream.prefilling else worker.decode[worker.running - 1]
            stream.rate = speed / len(active)
            soonest = min(soonest, stream.left / stream.rate)
        self._clock.at(self._clock.now + max(0.0, soonest), self._arrived, self._version)

    def _arrived(self, version: int) -> None:
        if version != self._version:
            return
        self._advance()
        over = []
        for stream in self.streams:
            if stream.left > _LITTLE:
                continue
            if stream.prefilling:
                # What computes the prompt's last token gives the answer's first one.
                stream.prefilling = False
                stream.first_at = self._clock.now
                stream.left = float(stream.request.answer_tokens - 1)
                if stream.left > 0:
                    continue
            over.append(stream)
        for stream in over:
            self.streams.remove(stream)
            stream.worker.running -= 1
        self._plan()
        for stream in over:
            self._ended(stream)
