"""One SSH connection to a machine, with what leads through it in both directions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import NamedTuple

from rbee.contract.errors import RbeeError, UnreachableError
from rbee.remote import Host

log = logging.getLogger(__name__)

_MOST = 512
"""Doors of one line: each worker that was ever started there has one."""
_BEAT_S = 5
_SILENCE_S = 3.0 * _BEAT_S
_GREETING_S = 20.0
_CLOSE_S = 3.0

# It tells the process of the SSH server that serves this connection, when that began, and the connection's addresses as
# the machine itself sees them; then one empty line every few seconds, by which the line is known to be whole.
_GREETING = f"""p=$$
while [ "${{p:-0}}" -gt 1 ]; do
  set -- $(ps -o ppid= -o comm= -p "$p" 2>/dev/null)
  case "$2" in *sshd*) break ;; esac
  p=$1
done
echo "${{p:-0}}|$(ps -o lstart= -p "${{p:-0}}" 2>/dev/null)|$SSH_CONNECTION"
while sleep {_BEAT_S}; do echo; done"""

_END = 'if [ "$(ps -o lstart= -p "$1" 2>/dev/null)" = "$2" ]; then kill "$1"; fi'


class Ours(NamedTuple):
    """What the machine says of its end of a line.

    Attributes:
        pid: of the process of the SSH server that serves it; 0 when the machine does not tell.
        since: when that began, in the machine's own words.
        address: at which the machine was reached, as it knows it itself; None when it does not tell.
    """

    pid: int
    since: str
    address: str | None


class Line:
    """A connection that is up.  All of its doors close with it.

    Args:
        host: connected; closed by `close`.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.ours = Ours(0, "", None)
        self._beats: AsyncGenerator[str] = host.lines(["sh", "-c", _GREETING])
        self._doors: dict[tuple[str, int], tuple[int, contextlib.AsyncExitStack]] = {}
        self._back = contextlib.AsyncExitStack()
        self._opening = asyncio.Lock()
        self._lost = False
        self._reading: asyncio.Future[str] | None = None

    async def greet(self) -> None:
        """Ask the machine for its end of the line.

        Raises:
            UnreachableError: it does not answer, or runs no commands.
        """
        text = await self._next(_GREETING_S)
        pid, _, rest = text.partition("|")
        since, _, connection = rest.partition("|")
        words = connection.split()
        self.ours = Ours(
            int(pid) if pid.strip().isdigit() else 0,
            since.strip(),
            words[2].partition("%")[0] if len(words) == 4 else None,
        )

    async def until_lost(self) -> None:
        """Return never.

        Raises:
            UnreachableError: the line is lost.
        """
        while True:
            await self._next(_SILENCE_S)

    async def _next(self, within_s: float) -> str:
        # Not cancelled when it is late: who reads would first try to end the command, over a line that is dead.
        self._reading = asyncio.ensure_future(anext(self._beats))
        done, _ = await asyncio.wait([self._reading], timeout=within_s)
        self._lost = True
        if not done:
            raise UnreachableError(f"{self.host.name}: nothing came over the SSH connection for {within_s:.0f} s.")
        try:
            text = self._reading.result()
        except StopAsyncIteration as error:
            raise UnreachableError(f"{self.host.name}: the other end of the SSH connection has ended.") from error
        self._lost = False
        return text

    def door(self, host: str, port: int) -> int | None:
        """The port of this machine's loopback that leads to an address there; None when none does yet."""
        found = self._doors.get((host, port))
        return None if found is None else found[0]

    async def open(self, host: str, port: int) -> int:
        """The same, opened where it is needed.

        Args:
            host: as the machine there sees it.
            port: there.

        Raises:
            RbeeError: it cannot be opened.
        """
        async with self._opening:
            if (found := self.door(host, port)) is not None:
                return found
            if len(self._doors) >= _MOST:
                await self._doors.pop(next(iter(self._doors)))[1].aclose()
            async with contextlib.AsyncExitStack() as stack:
                here = await stack.enter_async_context(self.host.forward(host, port))
                self._doors[host, port] = here, stack.pop_all()
            return here

    async def lead_back(self, port: int, there: int) -> int:
        """A port of the machine's loopback that leads to one of this machine's.

        Args:
            port: here.
            there: the port that is wanted there; 0 for a free one.

        Raises:
            RbeeError: it cannot be had.
        """
        return await self._back.enter_async_context(self.host.backward(port, there))

    async def end(self, earlier: Ours) -> None:
        """End what has remained there of an earlier line, whose loss its SSH server has not noticed.

        Raises:
            RbeeError: the line broke.
        """
        if earlier.pid > 1 and earlier.since and earlier != self.ours:
            await self.host.run(["sh", "-c", _END, "sh", str(earlier.pid), earlier.since], timeout_s=_GREETING_S)

    async def close(self) -> None:
        """Close the doors and the connection; a line that is dead does not hold this up."""
        orders = [self._close_doors, self._end_beats, self.host.close]
        # Over a line that is lost nobody there can be told of anything.
        for close in reversed(orders) if self._lost else orders:
            with contextlib.suppress(RbeeError, OSError, TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await close()

    async def _end_beats(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._beats.aclose()

    async def _close_doors(self) -> None:
        doors, self._doors = self._doors, {}
        for _, stack in doors.values():
            await stack.aclose()
        await self._back.aclose()
