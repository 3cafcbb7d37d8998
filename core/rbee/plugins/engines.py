"""What engines say of themselves, whatever a broken one does."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable

from rbee.contract.engine import Engine
from rbee.contract.types import EngineInfo

log = logging.getLogger(__name__)

DESCRIBE_S = 10.0
"""How long an engine is waited for: it may have to open its library, and its driver may hang."""


def engine_info(engine: type[Engine]) -> EngineInfo:
    """What a hive publishes about an engine; one that raises is told as not available, and hides no other."""
    try:
        return engine.info()
    except Exception as error:
        log.exception("engine %r does not say whether it can run here", engine.name)
        return unusable(engine, f"it fails to say whether it can run here ({error!r}); update or remove its plugin")


def engine_infos(engines: Iterable[type[Engine]], within_s: float = DESCRIBE_S) -> list[EngineInfo]:
    """What all engines say of themselves, asked at the same time; one that raises or hangs hides no other.

    Args:
        engines: each asked in a thread of its own, which keeps no program alive.
        within_s: how long they are waited for, all together.
    """
    asked = [(engine, *_asking(engine)) for engine in engines]
    until = time.monotonic() + within_s
    found = []
    for engine, thread, told in asked:
        thread.join(max(0.0, until - time.monotonic()))
        found.append(told[0] if told else late(engine, within_s))
    return found


def late(engine: type[Engine], within_s: float) -> EngineInfo:
    """An engine that does not say in time whether it can be used.

    Args:
        engine: which.
        within_s: how long it was waited for.
    """
    log.warning("engine %r does not say within %g s whether it can run here", engine.name, within_s)
    return unusable(engine, f"it does not say within {within_s:g} s whether it can run here; look at its driver")


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
        options=tuple(getattr(engine, "options", ())),
        note=getattr(engine, "note", None),
    )


def _asking(engine: type[Engine]) -> tuple[threading.Thread, list[EngineInfo]]:
    told: list[EngineInfo] = []

    def ask() -> None:
        told.append(engine_info(engine))

    thread = threading.Thread(target=ask, name=f"engine {engine.name}", daemon=True)
    thread.start()
    return thread, told
