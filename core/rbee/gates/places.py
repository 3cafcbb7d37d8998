"""Places at workers, as a gate gets them: from the queen, who alone decides."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import msgspec

from rbee.clients import Credentials
from rbee.contract.errors import UnavailableError
from rbee.gates.messages import (
    Ask,
    Done,
    FromQueen,
    GiveUp,
    Lost,
    NoneFree,
    Placed,
    Refused,
    Waits,
    error_of,
)
from rbee.gateway import Dispatcher, Lease, Outcome, Queued, Route, Target

_TARGETS_KEPT = 10_000


class GateLease(Lease):
    """A place at a worker.

    Args:
        placed: as the queen told it.
        target: where it is.
        finished: told once how the request ended.
    """

    def __init__(self, placed: Placed, target: Target, finished: Callable[[int, Outcome], None]) -> None:
        self.worker_id = placed.worker_id
        self.model_id = placed.model_id
        self.hive_id = placed.hive_id
        self.reason = placed.reason
        self.beside = placed.beside
        self.target = target
        self.lost: Callable[[], None] | None = None
        self._number = placed.number
        self._finished = finished

    def watch(self, lost: Callable[[], None]) -> None:
        """See `Lease.watch`."""
        self.lost = lost

    def finish(self, outcome: Outcome) -> None:
        """See `Lease.finish`."""
        self._finished(self._number, outcome)


class _Asking(msgspec.Struct, frozen=True):
    """Who waits for a place."""

    answer: asyncio.Future[GateLease | None]
    on_wait: Callable[[Queued], None] | None


class GatePlaces(Dispatcher):
    """Asks the queen for a place for each request.

    Args:
        send: tells the queen.
        credentials: shown to workers.
    """

    def __init__(self, send: Callable[[msgspec.Struct], None], credentials: Credentials) -> None:
        self._send = send
        self._credentials = credentials
        self._numbers = itertools.count(1)
        self._asking: dict[int, _Asking] = {}
        self._leases: dict[int, GateLease] = {}
        self._targets: dict[tuple[str, int, str | None], Target] = {}
        self._alone = False

    async def acquire(self, route: Route) -> Lease:
        """See `Dispatcher.acquire`."""
        lease = await self._ask(route, waits=True)
        if lease is None:
            raise UnavailableError("The queen has found no place; ask again in a moment.")
        return lease

    async def acquire_free(self, route: Route) -> Lease | None:
        """See `Dispatcher.acquire_free`."""
        return await self._ask(route, waits=False)

    async def _ask(self, route: Route, *, waits: bool) -> GateLease | None:
        if self._alone:
            raise _gone()
        number = next(self._numbers)
        answer: asyncio.Future[GateLease | None] = asyncio.get_running_loop().create_future()
        self._asking[number] = _Asking(answer, route.on_wait)
        self._send(
            Ask(
                number=number,
                request_id=route.request_id,
                path=route.path,
                model=route.model,
                stream=route.stream,
                trusted=route.trusted,
                continues=route.continues,
                tried=tuple(route.tried),
                waits=waits,
                traits=route.traits,
            )
        )
        try:
            return await answer
        except asyncio.CancelledError:
            if self._asking.pop(number, None) is not None:
                self._send(GiveUp(number=number))
            elif not answer.cancelled() and answer.exception() is None and (lease := answer.result()) is not None:
                # It came in the same moment.
                lease.finish(Outcome(reached=True))
            raise

    def heard(self, message: FromQueen) -> None:
        """What the queen tells of a request; harmless for one that has given up."""
        match message:
            case Placed(number=number):
                if (asking := self._asking.pop(number, None)) is not None:
                    target = self._target(message.host, message.port, message.server_name)
                    lease = GateLease(message, target, self._finished)
                    self._leases[number] = lease
                    asking.answer.set_result(lease)
            case Refused(number=number):
                if (asking := self._asking.pop(number, None)) is not None:
                    asking.answer.set_exception(error_of(message))
            case NoneFree(number=number):
                if (asking := self._asking.pop(number, None)) is not None:
                    asking.answer.set_result(None)
            case Waits(number=number, position=position, expected_s=expected_s):
                waiting = self._asking.get(number)
                if waiting is not None and waiting.on_wait is not None:
                    waiting.on_wait(Queued(position, expected_s))
            case Lost(number=number):
                held = self._leases.get(number)
                if held is not None and held.lost is not None:
                    lost, held.lost = held.lost, None
                    lost()
            case _:
                pass

    def queen_gone(self) -> None:
        """Nobody gives places any more; what has one may finish."""
        self._alone = True
        asking, self._asking = self._asking, {}
        for one in asking.values():
            if not one.answer.done():
                one.answer.set_exception(_gone())

    def _finished(self, number: int, outcome: Outcome) -> None:
        del self._leases[number]
        self._send(
            Done(number=number, reached=outcome.reached, first_byte_s=outcome.first_byte_s, status=outcome.status)
        )

    def _target(self, host: str, port: int, server_name: str | None) -> Target:
        target = self._targets.get((host, port, server_name))
        if target is None:
            if len(self._targets) >= _TARGETS_KEPT:
                self._targets.clear()
            tls = server_name is not None
            url = f"{'https' if tls else 'http'}://{host}"
            target = self._targets[host, port, server_name] = Target(
                host=host,
                port=port,
                headers=self._credentials.raw_headers(url),
                tls=tls,
                context=self._credentials.context(url),
                server_name=server_name,
            )
        return target


def _gone() -> UnavailableError:
    return UnavailableError("The queen has stopped; ask again in a moment.", retry_after_s=5)
