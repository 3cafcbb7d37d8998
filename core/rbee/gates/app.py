"""A gate's application: what asks a model is served here, everything else by the queen."""

from __future__ import annotations

from collections.abc import Callable

from rbee.contract.tracing import Tracer
from rbee.contract.wire import RequestRecord
from rbee.doors import door_error, make_plane, make_stateless_doors
from rbee.gates.messages import Welcome
from rbee.gates.passing import Receive, Scope, Send, ToQueen
from rbee.gates.places import GatePlaces
from rbee.gateway import Pool, Relay, RelayCalls
from rbee.http.errors import STATUS_BY_CODE
from rbee.http.front import OPENAI_POSTS, Front, openai_path


class GateApp:
    """The application of one gate.

    Args:
        welcome: what the queen told.
        places: from the queen.
        observe: told each request that has ended.
        tracer: of spans; None when nobody wants them.
    """

    def __init__(
        self,
        welcome: Welcome,
        places: GatePlaces,
        observe: Callable[[RequestRecord], None],
        tracer: Tracer | None,
    ) -> None:
        self.pool = Pool()
        self.relay = Relay(places, self.pool, observe, tracer, hop=welcome.hop.encode())
        calls = RelayCalls(self.relay, lambda error: STATUS_BY_CODE[error.code])
        doors = make_stateless_doors(calls, welcome.max_body)
        self.direct = make_plane(self.relay, welcome.guard, welcome.max_body)
        self._queen = ToQueen(welcome.queen_port)
        self._front = Front(self._queen, welcome.guard, direct=self.direct, doors=doors, door_error=door_error)
        self._served = OPENAI_POSTS | {path for _, path in doors}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        match scope["type"]:
            case "http" if openai_path(scope["path"]) in self._served:
                await self._front(scope, receive, send)
            case "http":
                # With all that it is: the queen has a guard of her own.
                await self._queen(scope, receive, send)
            case "lifespan":
                await _live(receive, send)
            case _:
                await self._front(scope, receive, send)

    async def close(self) -> None:
        """End what is still open."""
        self.relay.close()
        self.pool.close()
        await self._queen.close()


async def _live(receive: Receive, send: Send) -> None:
    """There is nothing to start or to stop."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
