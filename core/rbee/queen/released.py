"""Whether what a stopped worker held is free again, as its hive measures it."""

from __future__ import annotations

import asyncio
import logging

from rbee.telemetry import TelemetryRegistry

log = logging.getLogger(__name__)

_PATIENCE_S = 5.0
_LOOK_S = 0.05


async def until_released(
    telemetry: TelemetryRegistry, hive_id: str, worker_id: str, patience_s: float = _PATIENCE_S
) -> None:
    """Return once a hive has told figures without the worker's process, or patience is over.

    What is decided or promised next is then made from memory that is truly free.  A hive that does not tell keeps
    nobody waiting for longer: it has the last word about a start anyway.

    Args:
        telemetry: the colony.
        hive_id: where it was.
        worker_id: that was stopped.
        patience_s: seconds to wait at most.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    while (waited := loop.time() - began) < patience_s:
        record, age = telemetry.get_hive_state(hive_id), telemetry.hive_age(hive_id)
        if record is None or age is None:
            return
        if age < waited and worker_id not in (record.worker_ids or ()):
            return
        # Beats come once a second and tell of themselves to the registry alone.
        await asyncio.sleep(_LOOK_S)
    log.warning("hive %s still measures worker %s, which was stopped %.0f s ago", hive_id, worker_id, patience_s)
