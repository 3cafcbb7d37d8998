"""A worker's own routes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from rbee.clients.transport import Transport, segment
from rbee.contract.errors import RbeeError, error_types
from rbee.contract.wire import ColonyAddresses, InferRequest, WorkerDrain, WorkerHeartbeat

_TERMINAL = ("end", "error")


class WorkerClient:
    """What the queen, a hive or a person without either asks of a worker."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def ready(self) -> None:
        """Raise WorkerNotReadyError, whose message tells the stage, unless the model is loaded."""
        await self._transport.call("GET", "/ready", dict)

    async def info(self, queen_url: str | None = None) -> WorkerHeartbeat:
        """What the worker says of itself.

        Args:
            queen_url: introduces the queen to a worker that has none.
        """
        query = {"queen_url": queen_url} if queen_url is not None else None
        return await self._transport.call("GET", "/info", WorkerHeartbeat, query=query)

    async def infer(self, request: InferRequest) -> AsyncGenerator[dict[str, Any]]:
        """The events of a streamed ``POST /v1/infer``, the terminal one last.

        Raises:
            RbeeError: the request was refused, or ended with an error event.
        """
        # The head comes with the first token, after a long prompt or other requests: only the system's own
        # keep-alive tells a machine that is gone from one that is busy.
        async with self._transport.stream("POST", "/v1/infer", body=request, answer_s=None) as events:
            async for event in events:
                found: dict[str, Any] = self._transport.decode(event.data, dict, "POST /v1/infer")
                if found.get("type") == "error":
                    kind = error_types().get(str(found.get("code")), RbeeError)
                    raise kind(str(found.get("message")))
                yield found
                if found.get("type") in _TERMINAL:
                    return

    async def cancel(self, request_id: str) -> None:
        """End a request; harmless when it has ended."""
        await self._transport.call("DELETE", f"/v1/infer/{segment(request_id)}", type(None))

    async def move(self, addresses: ColonyAddresses) -> None:
        """Tell the worker where queen and registry are now."""
        await self._transport.call("POST", "/v1/colony", dict, body=addresses)

    async def drain(self, *, on: bool) -> WorkerDrain:
        """Take no more requests, or take them again; to say it again tells how many are still open."""
        return await self._transport.call("POST" if on else "DELETE", "/v1/drain", WorkerDrain)

    async def shutdown(self) -> None:
        """Finish open requests, then exit."""
        await self._transport.call("POST", "/v1/shutdown", dict)
