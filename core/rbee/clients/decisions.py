"""The queen's routes that explain her decisions."""

from __future__ import annotations

import msgspec

from rbee.clients.transport import Transport, segment
from rbee.contract.wire import DecisionList, Explanation


class _Recorded(msgspec.Struct, frozen=True):
    decisions: tuple[msgspec.Raw, ...]


class DecisionsClient:
    """What an operator asks of the queen."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def recent(self, limit: int) -> DecisionList:
        """The requests last decided about, the newest first."""
        return await self._transport.call("GET", "/v1/explain", DecisionList, query={"limit": str(limit)})

    async def explain(self, request_id: str) -> Explanation:
        """Why a request went where it went.

        Raises:
            NotFoundError: nothing is known of it.
        """
        return await self._transport.call("GET", f"/v1/explain/{segment(request_id)}", Explanation)

    async def recorded(self, request_id: str | None) -> list[bytes]:
        """Decisions with all that they were made from, JSON objects, the oldest first.

        Args:
            request_id: only those about this request; None for all.

        Raises:
            NotFoundError: nothing is known of it.
        """
        query = None if request_id is None else {"request_id": request_id}
        found = await self._transport.call("GET", "/v1/decisions", _Recorded, query=query)
        return [bytes(one) for one in found.decisions]
