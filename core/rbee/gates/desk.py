"""Where the queen gives places to one gate."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

import msgspec

from rbee.contract.errors import RbeeError
from rbee.contract.wire import RequestRecord
from rbee.gates.messages import (
    Ask,
    Done,
    Ended,
    FromGate,
    GiveUp,
    Lost,
    NoneFree,
    Placed,
    Waits,
    refusal,
)
from rbee.gateway import Dispatcher, Lease, Outcome, Queued, Route

log = logging.getLogger(__name__)


class Desk:
    """Serves one gate for as long as it lives.

    Args:
        dispatcher: the queen's.
        observe: told each request that has ended.
        send: tells the gate.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        observe: Callable[[RequestRecord], None],
        send: Callable[[msgspec.Struct], None],
    ) -> None:
        self._dispatcher = dispatcher
        self._observe = observe
        self._send = send
        self._leases: dict[int, Lease] = {}
        self._waiting: dict[int, asyncio.Task[None]] = {}

    def heard(self, message: FromGate) -> None:
        """What the gate tells of its requests."""
        match message:
            case Ask():
                self._asked(message)
            case Done(number=number, reached=reached, first_byte_s=first_byte_s, status=status):
                self._finish(number, Outcome(reached=reached, first_byte_s=first_byte_s, status=status))
            case Ended(record=record):
                self._observe(record)
            case GiveUp(number=number):
                waiting = self._waiting.pop(number, None)
                if waiting is not None:
                    waiting.cancel()
                else:
                    # Its place is on the way to the gate, who lets it pass by.
                    self._finish(number, Outcome(reached=True))
            case _:
                pass

    def close(self) -> None:
        """The gate is gone, and its requests with it: their workers have seen them leave."""
        waiting, self._waiting = self._waiting, {}
        for task in waiting.values():
            task.cancel()
        for number in list(self._leases):
            self._finish(number, Outcome(reached=True))

    def _asked(self, ask: Ask) -> None:
        route = Route(
            request_id=ask.request_id,
            path=ask.path,
            model=ask.model,
            stream=ask.stream,
            trusted=ask.trusted,
            continues=ask.continues,
            tried=frozenset(ask.tried),
            on_wait=partial(self._tell_wait, ask.number),
            traits=ask.traits,
        )
        try:
            lease = self._dispatcher.try_acquire(route)
        except Exception as error:
            self._refuse(ask.number, error)
            return
        if lease is not None:
            self._grant(ask.number, lease)
        elif ask.waits:
            self._waiting[ask.number] = asyncio.get_running_loop().create_task(self._wait(ask.number, route))
        else:
            self._send(NoneFree(number=ask.number))

    async def _wait(self, number: int, route: Route) -> None:
        try:
            lease = await self._dispatcher.acquire(route)
        except Exception as error:
            if self._waiting.pop(number, None) is not None:
                self._refuse(number, error)
            return
        if self._waiting.pop(number, None) is None:
            lease.finish(Outcome(reached=True))
        else:
            self._grant(number, lease)

    def _grant(self, number: int, lease: Lease) -> None:
        self._leases[number] = lease
        lease.watch(partial(self._tell_lost, number))
        self._send(
            Placed(
                number=number,
                worker_id=lease.worker_id,
                model_id=lease.model_id,
                hive_id=lease.hive_id,
                reason=lease.reason,
                host=lease.target.host,
                port=lease.target.port,
                beside=lease.beside,
                server_name=lease.target.server_name,
            )
        )

    def _finish(self, number: int, outcome: Outcome) -> None:
        lease = self._leases.pop(number, None)
        if lease is not None:
            lease.finish(outcome)

    def _refuse(self, number: int, error: Exception) -> None:
        if not isinstance(error, RbeeError):
            log.error("a gate's request could not be placed", exc_info=error)
            error = RbeeError("The queen could not place the request; her log has the details.")
        self._send(refusal(number, error))

    def _tell_wait(self, number: int, queued: Queued) -> None:
        self._send(Waits(number=number, position=queued.position, expected_s=queued.expected_s))

    def _tell_lost(self, number: int) -> None:
        self._send(Lost(number=number))
