"""The queen's routes to ask why a request went where it went."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import get
from litestar.params import Parameter

from rbee.contract.wire import DecisionList, Explanation
from rbee.queen.service import QueenService
from rbee.scheduler import Recorded


class RecordedDecisions(msgspec.Struct, frozen=True):
    """Answer of ``GET /v1/decisions``."""

    decisions: tuple[Recorded, ...]


@get("/v1/explain")
async def recent_decisions(
    service: QueenService, limit: Annotated[int, Parameter(ge=1, le=100_000)] = 50
) -> DecisionList:
    """The requests last decided about, the newest first."""
    return service.decisions.recent(limit)


@get("/v1/explain/{request_id:str}")
async def explain_request(service: QueenService, request_id: str) -> Explanation:
    """Who was considered for a request, what each lacked, and what made the difference."""
    return service.decisions.explain(request_id)


@get("/v1/decisions")
async def recorded_decisions(service: QueenService, request_id: str | None = None) -> RecordedDecisions:
    """Decisions with all that they were made from, the oldest first; enough to make them again."""
    return RecordedDecisions(decisions=tuple(service.decisions.recorded(request_id)))


EXPLAIN_ROUTES = (recent_decisions, explain_request, recorded_decisions)
