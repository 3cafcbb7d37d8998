"""What engines say of themselves, whatever a broken one does."""

from __future__ import annotations

import logging

from rbee.contract.engine import Engine
from rbee.contract.types import EngineInfo

log = logging.getLogger(__name__)


def engine_info(engine: type[Engine]) -> EngineInfo:
    """What a hive publishes about an engine; one that raises is told as not available, and hides no other."""
    try:
        return engine.info()
    except Exception as error:
        log.exception("engine %r does not say whether it can run here", engine.name)
        return unusable(engine, f"it fails to say whether it can run here ({error!r}); update or remove its plugin")


def unusable(engine: type[Engine], reason: str) -> EngineInfo:
    """An engine that is there and cannot be used.

    Args:
        engine: which.
        reason: why, then ``; `` and what to do.
    """
    return EngineInfo(
        name=engine.name,
        version=None,
        formats=tuple(sorted(getattr(engine, "formats", ()))),
        backends=tuple(sorted(getattr(engine, "backends", ()))),
        capabilities=tuple(sorted(getattr(engine, "capabilities", ()))),
        available=False,
        reason=reason,
    )
