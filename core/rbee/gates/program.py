"""``python -m rbee.gates``: one more process of the queen's gateway; started by her, and of no use alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rbee.clients import Credentials, keep_running
from rbee.contract.wire import RequestRecord
from rbee.eventloop import fast_loop, settle_memory
from rbee.gates.app import GateApp
from rbee.gates.channel import Channel
from rbee.gates.messages import Drain, Drained, Ended, FromQueen, Opened, Welcome
from rbee.gates.places import GatePlaces
from rbee.http.server import HttpServer
from rbee.logs import configure_logging
from rbee.observability import make_tracer

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from rbee.trust.identity import Identity


class Gate:
    """One gate, from the queen's welcome to its end.

    Args:
        sock: listens on the queen's port.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._channel: Channel[FromQueen] | None = None
        self._places: GatePlaces | None = None
        self._welcome: asyncio.Future[Welcome] = asyncio.get_running_loop().create_future()
        self._drain_s: float | None = None
        self._ends = asyncio.Event()
        self._told_to_end = False

    async def run(self, line: socket.socket) -> None:
        """Serve until the queen wants an end, or is gone.

        Args:
            line: to the queen.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ends.set)
        channel: Channel[FromQueen] = Channel(FromQueen, self._heard, self._queen_gone)
        self._channel = channel
        await loop.create_connection(lambda: channel, sock=line)
        try:
            welcome = await self._welcome
        except EOFError:
            return
        logging.getLogger().setLevel(welcome.log_level)
        identity = None
        if welcome.identity is not None:
            # Late: only where TLS is spoken.
            from rbee.trust.identity import Identity

            identity = Identity(Path(welcome.identity))
            if welcome.brought is not None:
                from rbee.trust.operators import OperatorsCertificate

                identity.show_to_others(OperatorsCertificate(Path(welcome.brought[0]), Path(welcome.brought[1])))
        self._places = places = GatePlaces(channel.send, Credentials(welcome.guard.token, identity))
        tracer = make_tracer(os.environ)
        app = GateApp(welcome, places, self._observe, tracer)
        renewed = None if identity is None else asyncio.create_task(_take_renewed(identity), name="certificate")
        server = HttpServer(app, self._socket, direct=app.direct, tls=identity)
        try:
            await server.start()
            settle_memory()
            channel.send(Opened())
            await self._ends.wait()
            within_s = welcome.drain_s if self._drain_s is None else self._drain_s
            if self._drain_s is None:
                # She is gone, or lives on without this process: new connections are for others.
                server.stop_listening()
            still_open = await app.relay.drain(within_s)
            channel.send(Drained(still_open=still_open))
        finally:
            if renewed is not None:
                renewed.cancel()
            await app.close()
            await server.stop()
            channel.close()
            if tracer is not None:
                await asyncio.to_thread(tracer.close)

    def _heard(self, message: FromQueen) -> None:
        match message:
            case Welcome() if not self._welcome.done():
                self._welcome.set_result(message)
            case Drain(within_s=within_s):
                self._drain_s = within_s
                self._ends.set()
            case _:
                if self._places is not None:
                    self._places.heard(message)

    def _queen_gone(self) -> None:
        """She has crashed, or this gate's end is what she waits for."""
        if not self._welcome.done():
            self._welcome.set_exception(EOFError("the queen has gone"))
        if self._places is not None:
            self._places.queen_gone()
        self._ends.set()

    def _observe(self, record: RequestRecord) -> None:
        if self._channel is not None:
            self._channel.send(Ended(record=record))


async def _take_renewed(identity: Identity) -> None:
    """The queen renews the certificate in its file."""

    async def look() -> None:
        while True:
            await asyncio.sleep(identity.look_s())
            identity.take_renewed()

    await keep_running("the certificate", look)


def main() -> None:
    """Run a gate on the descriptors that the command line names: of the port, and of the line to the queen."""
    configure_logging(logging.WARNING)
    try:
        port, line = (socket.socket(fileno=int(text)) for text in sys.argv[1:])
    except (ValueError, OSError):
        sys.exit("python -m rbee.gates is started by the queen: rbee queen start --processes N")
    for one in (port, line):
        one.setblocking(False)
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(_run(port, line))


async def _run(port: socket.socket, line: socket.socket) -> None:
    await Gate(port).run(line)
