"""A gate's end and the queen's end of a real line, and workers that answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import msgspec
from rbee.clients import Credentials
from rbee.contract.wire import RequestRecord
from rbee.gates.channel import Channel
from rbee.gates.desk import Desk
from rbee.gates.messages import FromGate, FromQueen
from rbee.gates.places import GatePlaces
from rbee.gateway import Dispatcher, Lease, Outcome, Queued, Route, Target

PATIENCE_S = 10


class HeldLease(Lease):
    def __init__(self, worker_id: str, target: Target) -> None:
        self.worker_id = worker_id
        self.model_id = "demo/m"
        self.hive_id = "h1"
        self.reason = "it is the first"
        self.target = target
        self.lost: Callable[[], None] | None = None
        self.outcome: Outcome | None = None
        self.over = asyncio.Event()

    def watch(self, lost: Callable[[], None]) -> None:
        self.lost = lost

    def finish(self, outcome: Outcome) -> None:
        assert self.outcome is None
        self.outcome = outcome
        self.over.set()


class QueensPlaces(Dispatcher):
    """A dispatcher whose places are at one worker, free or not."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.free = asyncio.Event()
        self.free.set()
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        self.routes: list[Route] = []
        self.leases: list[HeldLease] = []
        self.error: Exception | None = None

    def try_acquire(self, route: Route) -> Lease | None:
        self.routes.append(route)
        self.asked.set()
        if self.error is not None:
            raise self.error
        return self._next() if self.free.is_set() else None

    async def acquire(self, route: Route) -> Lease:
        if route.on_wait is not None:
            route.on_wait(Queued(3, 1.5))
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
        if self.error is not None:
            raise self.error
        return self._next()

    def _next(self) -> HeldLease:
        self.leases.append(HeldLease(f"w{len(self.leases)}", self.target))
        return self.leases[-1]


class Line:
    """Both ends."""

    def __init__(self) -> None:
        self.queen = QueensPlaces(Target(host="127.0.0.1", port=9))
        self.records: list[RequestRecord] = []
        self.cut = asyncio.Event()

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        for one in (ours, theirs):
            one.setblocking(False)
        self.desk = Desk(self.queen, self.records.append, self._to_gate)
        self.hers: Channel[FromGate] = Channel(FromGate, self.desk.heard, self.desk.close)
        self.gate: Channel[FromQueen] = Channel(FromQueen, self._at_gate, self._cut)
        self.places = GatePlaces(self.gate.send, Credentials("secret"))
        await loop.create_connection(lambda: self.hers, sock=ours)
        await loop.create_connection(lambda: self.gate, sock=theirs)

    def _to_gate(self, message: msgspec.Struct) -> None:
        self.hers.send(message)

    def _at_gate(self, message: FromQueen) -> None:
        self.places.heard(message)

    def _cut(self) -> None:
        self.places.queen_gone()
        self.cut.set()
