"""The queen's further processes: started, kept alive, told to finish."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from rbee.contract.errors import UnavailableError
from rbee.contract.wire import RequestRecord
from rbee.gates.channel import Channel
from rbee.gates.desk import Desk
from rbee.gates.messages import Drain, Drained, FromGate, Opened, Welcome
from rbee.gateway import Dispatcher
from rbee.http.ports import listen_too

log = logging.getLogger(__name__)

_OPEN_S = 30.0
_END_S = 5.0
_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_STEADY_S = 60.0
"""One that has served for so long has not failed from the start."""


class GateKeeper:
    """Keeps a number of gates on the queen's port.

    Args:
        count: of gates.
        sock: the queen's own, on the port that they share.
        dispatcher: the queen's.
        observe: told each request that has ended.
        welcome: told each gate.
        environment: theirs.
    """

    def __init__(
        self,
        count: int,
        sock: socket.socket,
        dispatcher: Dispatcher,
        observe: Callable[[RequestRecord], None],
        welcome: Welcome,
        environment: Mapping[str, str],
    ) -> None:
        self._gates = [_GateProcess(sock, dispatcher, observe, welcome, environment) for _ in range(count)]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start them; returns when all of them serve.

        Raises:
            UnavailableError: one does not come up.
        """
        self._tasks = [asyncio.create_task(gate.keep(), name="a gate") for gate in self._gates]
        try:
            async with asyncio.timeout(_OPEN_S):
                await asyncio.gather(*(gate.opened.wait() for gate in self._gates))
        except TimeoutError as error:
            await self.stop()
            raise UnavailableError(
                f"A further process of the queen did not serve within {_OPEN_S:.0f} s; the log has the reason."
            ) from error

    async def drain(self, within_s: float) -> int:
        """Have them finish what is open; returns how many requests are still open when the time is up."""
        return sum(await asyncio.gather(*(gate.drain(within_s) for gate in self._gates)))

    async def stop(self) -> None:
        """End them."""
        for gate in self._gates:
            gate.leave()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _GateProcess:
    """One gate, and the next when it has ended before it should."""

    def __init__(
        self,
        sock: socket.socket,
        dispatcher: Dispatcher,
        observe: Callable[[RequestRecord], None],
        welcome: Welcome,
        environment: Mapping[str, str],
    ) -> None:
        self.opened = asyncio.Event()
        self._sock = sock
        self._dispatcher = dispatcher
        self._observe = observe
        self._welcome = welcome
        self._environment = environment
        self._channel: Channel[FromGate] | None = None
        self._drained: asyncio.Future[int] | None = None
        self._ending = False

    async def keep(self) -> None:
        """Run it, again and again."""
        pause_s = _PAUSE_S
        while True:
            started = time.monotonic()
            try:
                code = await self._run()
            except OSError as error:
                code = None
                log.warning("a further process of the queen could not be started: %s", error)
            if self._ending:
                return
            pause_s = _PAUSE_S if time.monotonic() - started > _STEADY_S else min(pause_s * 2, _LONGEST_PAUSE_S)
            if code is not None:
                log.warning("a further process of the queen has ended (%s); the next starts in %g s", code, pause_s)
            await asyncio.sleep(pause_s)

    async def drain(self, within_s: float) -> int:
        """Have it finish what is open."""
        self._ending = True
        if self._channel is None:
            return 0
        self._drained = asyncio.get_running_loop().create_future()
        self._channel.send(Drain(within_s=within_s))
        try:
            async with asyncio.timeout(within_s + _END_S):
                return await self._drained
        except TimeoutError:
            return 0

    def leave(self) -> None:
        """It is wanted no more; hanging up is what it ends by."""
        self._ending = True

    async def _run(self) -> int:
        """One process from its start to its end; returns its code."""
        # Taken anew for each: what the system keeps for a process that is gone would be answered by nobody.
        port = listen_too(self._sock)
        mine, theirs = socket.socketpair()
        mine.setblocking(False)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "rbee.gates", str(port.fileno()), str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(port.fileno(), theirs.fileno()),
                env=dict(self._environment),
                # Ctrl+C in the terminal is the queen's to act on; she tells them in order.
                start_new_session=True,
            )  # fmt: skip
        except BaseException:
            mine.close()
            raise
        finally:
            port.close()
            theirs.close()
        try:
            await self._talk(mine)
            return await process.wait()
        finally:
            await _end(process)
            self.opened.clear()

    async def _talk(self, line: socket.socket) -> None:
        """Give places to the gate until it hangs up."""
        closed = asyncio.Event()
        desk = Desk(self._dispatcher, self._observe, self._send)

        def heard(message: FromGate) -> None:
            match message:
                case Opened():
                    self.opened.set()
                case Drained(still_open=still_open):
                    if self._drained is not None and not self._drained.done():
                        self._drained.set_result(still_open)
                case _:
                    desk.heard(message)

        channel: Channel[FromGate] = Channel(FromGate, heard, closed.set)
        self._channel = channel
        try:
            await asyncio.get_running_loop().create_connection(lambda: channel, sock=line)
            channel.send(self._welcome)
            await closed.wait()
        finally:
            self._channel = None
            channel.close()
            desk.close()
            if self._drained is not None and not self._drained.done():
                self._drained.set_result(0)

    def _send(self, message: Any) -> None:
        if self._channel is not None:
            self._channel.send(message)


async def _end(process: asyncio.subprocess.Process) -> None:
    """See a process to its end: it ends by itself when its line is cut."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        try:
            async with asyncio.timeout(_END_S):
                await process.wait()
        except (TimeoutError, asyncio.CancelledError):
            process.kill()
            await process.wait()
