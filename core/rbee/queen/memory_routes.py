"""The queen's route to what workers needed of memory."""

from __future__ import annotations

from litestar import get

from rbee.contract.wire import MemoryLedger
from rbee.queen.service import QueenService


@get("/v1/memory")
async def memory_ledger(service: QueenService) -> MemoryLedger:
    """What the colony's workers needed, and what is added to estimates for it, the newest first."""
    return MemoryLedger(learned=tuple(service.ledger.all()))


MEMORY_ROUTES = (memory_ledger,)
