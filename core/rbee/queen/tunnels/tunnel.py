"""An SSH connection to one machine that is kept open."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from rbee.clients import backoff, jittered, keep_running
from rbee.contract.errors import RbeeError, UnreachableError
from rbee.queen.tunnels.line import Line, Ours
from rbee.remote import Host

log = logging.getLogger(__name__)

_MOST = 512
"""Doors that are opened anew: each worker that was ever started there has one."""
_LONG_S = 60.0
"""A line that held for so long was no failed try: the next one is made at once."""
_BACK_S = 30.0
_LOOK_S = 0.1
_REFUSED_S = 120.0
"""Between the tries where somebody answers and lets nobody in: a person has to look."""
_BACK_WAITS_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""For how long the port that a hive knows is asked for before it gets another one: well before `_BACK_S`, after which
nobody waits for one any more."""


class Tunnel:
    """Connects, leads in both directions, and connects again with longer and longer waits when the line is lost.

    Args:
        name: of the machine, as the operator calls it.
        connect: makes a connection; raises an RbeeError that names the host, the cause and the remedy.
        inner: port of this machine's loopback at which the queen speaks TLS.
        there: the port of the machine's loopback that is to lead to it, as before; 0 for any.
        changed: told when it has been opened, has got another port there, or was lost.
        spread: makes a wait a little different each time.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Awaitable[Host]],
        inner: int,
        there: int = 0,
        *,
        changed: Callable[[], None] = lambda: None,
        spread: Callable[[float], float] = jittered,
    ) -> None:
        self.name = name
        self._connect = connect
        self._inner = inner
        self._wanted = there
        self.changed = changed
        self._spread = spread
        self._line: Line | None = None
        self._there: int | None = None
        self._earlier = Ours(0, "", None)
        self._doors: dict[tuple[str, int], None] = {}
        self._news = asyncio.Event()
        self._tried = asyncio.Event()
        self.why: RbeeError | None = None
        """Why there is no line; None while there is one, and before the first try has ended."""
        self._ended = False
        self._not_back: RbeeError | None = None
        """Why no port there leads to the queen, as far as was tried over this line."""
        self._back_tried = False

    @property
    def is_open(self) -> bool:
        """Whether there is a line."""
        return self._line is not None

    @property
    def address(self) -> str | None:
        """At which the machine was reached, as it knows it itself; None when there is no line, or it does not tell."""
        return None if self._line is None else self._line.ours.address

    @property
    def port_there(self) -> int | None:
        """The port of the machine's loopback that leads to the queen now; None when none does."""
        return self._there

    @property
    def queen_url(self) -> str | None:
        """The queen's address for programs of that machine; None when there is none."""
        return None if self._there is None else f"https://127.0.0.1:{self._there}"

    async def settled(self) -> None:
        """Return once there is a line, the try that is under way has failed, or there will be none any more."""
        while self._line is None and not self._ended and not (self.why is not None and self._tried.is_set()):
            await self._tried.wait()

    def door(self, host: str, port: int) -> int | None:
        """The port here that leads to an address there, if one does at this moment; see `Line`."""
        return None if self._line is None else self._line.door(host, port)

    async def open(self, host: str, port: int) -> int:
        """The port here that leads to an address there, and will again after the line was lost.

        Raises:
            UnreachableError: there is no line.
            RbeeError: it cannot be opened.
        """
        self.want(host, port)
        if self._line is None:
            why = "it is being opened." if self.why is None else self.why.message
            raise UnreachableError(f"There is no SSH tunnel to {self.name!r} at the moment: {why}")
        return await self._line.open(host, port)

    async def leads_back(self) -> str:
        """The queen's address for programs of that machine, once there is one.

        Raises:
            RbeeError: there is none, and why.
        """
        try:
            async with asyncio.timeout(_BACK_S):
                while self.queen_url is None:
                    await self.settled()
                    if self.why is not None:
                        raise self.why
                    if self._back_tried and self._not_back is not None:
                        raise self._not_back
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError as error:
            why = "its SSH server does not answer in time." if self._not_back is None else self._not_back.message
            raise UnreachableError(f"No port of {self.name!r} leads to the queen: {why}") from error
        return self.queen_url

    def want(self, host: str, port: int) -> None:
        """Have a door to an address there, soon, and again after the line was lost; harmless when repeated."""
        if (host, port) not in self._doors:
            if len(self._doors) >= _MOST:
                del self._doors[next(iter(self._doors))]
            self._doors[host, port] = None
            self._news.set()

    def end(self) -> None:
        """It is not opened any more: whoever waits for it hears so; whoever runs it cancels that."""
        self._ended = True
        self.why = UnreachableError(
            f"The SSH tunnel to {self.name!r} was closed, because the machine was changed or taken off the list of "
            "hives. Look at the list (rbee hive ls) and try again."
        )
        self._tried.set()

    async def run(self) -> None:
        """Keep it open until cancelled, once."""
        try:
            await self._open_again_and_again()
        except asyncio.CancelledError:
            self.end()
            raise

    async def _open_again_and_again(self) -> None:
        clock = asyncio.get_running_loop().time
        waits = _retries()
        while True:
            began, least_s = clock(), 0.0
            try:
                await self._once()
            except RbeeError as error:
                self._lost(error)
                least_s = 0.0 if isinstance(error, UnreachableError) else _REFUSED_S
            if clock() - began > _LONG_S:
                waits = _retries()
            await asyncio.sleep(self._spread(max(next(waits), least_s)))
            self._tried.clear()

    async def _once(self) -> None:
        """One line, from its beginning to its end.

        Raises:
            RbeeError: it is lost, or could not be had.
        """
        line = Line(await self._connect())
        beside: list[asyncio.Task[None]] = []
        try:
            await line.greet()
            self._opened(line)
            name = f"the SSH tunnel to {self.name}"
            works = (self._open_doors, self._lead_back)
            beside += [asyncio.create_task(keep_running(name, partial(work, line)), name=name) for work in works]
            await line.until_lost()
        finally:
            self._line, self._there = None, None
            self._not_back, self._back_tried = None, False
            self._tried.clear()
            self._earlier = line.ours if line.ours.pid else self._earlier
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await line.close()

    def _opened(self, line: Line) -> None:
        self._line, self.why = line, None
        log.info("the SSH tunnel to %r is open", self.name)
        self._tried.set()
        self.changed()

    def _lost(self, error: RbeeError) -> None:
        known = self.why is not None and self.why.message == error.message
        self.why = error
        # What does not change is told once.
        log.log(logging.DEBUG if known else logging.WARNING, "the SSH tunnel to %r: %s", self.name, error.message)
        self._tried.set()
        self.changed()

    async def _open_doors(self, line: Line) -> None:
        """Open what is wanted, now and as it comes."""
        while True:
            self._news.clear()
            for host, port in list(self._doors):
                try:
                    await line.open(host, port)
                except RbeeError as error:
                    log.debug("the SSH tunnel to %r: %s", self.name, error.message)
            await self._news.wait()

    async def _lead_back(self, line: Line) -> None:
        """Have a port there lead to the queen: the one that the hive knows, as long as there is hope to get it."""
        for wait_s in _BACK_WAITS_S if self._wanted else ():
            await asyncio.sleep(wait_s)
            try:
                self._leads(await line.lead_back(self._inner, self._wanted))
            except RbeeError as refused:
                self._not_back = refused
                # An end of an earlier line may hold it, whose SSH server has not noticed that it was cut.
                with contextlib.suppress(RbeeError):
                    await line.end(self._earlier)
            else:
                return
        if self._not_back is not None:
            log.warning("the SSH tunnel to %r gets another port there: %s", self.name, self._not_back.message)
        try:
            self._leads(await line.lead_back(self._inner, 0))
        except RbeeError as refused:
            log.warning("programs on %r do not reach the queen by the SSH tunnel: %s", self.name, refused.message)
            self._not_back, self._back_tried = refused, True

    def _leads(self, there: int) -> None:
        self._there = self._wanted = there
        self._not_back = None
        self.changed()


def _retries() -> Iterator[float]:
    waits = backoff()
    # The first wait is the one before the first try.
    next(waits)
    return waits
