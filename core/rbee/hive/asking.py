"""One probe in a thread of its own: asked with a deadline, left alone while it is busy."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from rbee.builtin.one_thread import OneThread
from rbee.contract.probe import Probe

log = logging.getLogger(__name__)

T = TypeVar("T")


class ProbeThread:
    """Asks one probe.

    Args:
        probe: whose methods may hang, as drivers do.
    """

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self._thread = OneThread(f"probe {probe.name}")
        self._busy: asyncio.Task[Any] | None = None
        self._complained: set[str] = set()
        self._late = False

    async def ask(self, what: str, question: Callable[[], T], within_s: float) -> T | None:
        """The probe's answer; None when it raised, is late, or has not returned from an earlier question.

        Args:
            what: of the question, for the log.
            question: called in the probe's thread.
            within_s: how long to wait.  The call goes on behind it, and nothing is asked until it has ended.
        """
        if self._busy is not None and not self._busy.done():
            return None
        asked: asyncio.Task[T | None] = asyncio.create_task(
            self._call(what, question), name=f"probe {self.probe.name}: {what}"
        )
        self._busy = asked
        await asyncio.wait([asked], timeout=within_s)
        if asked.done():
            if self._late:
                self._late = False
                log.info("probe %r answers in time again", self.probe.name)
            return None if asked.cancelled() else asked.result()
        if not self._late:
            self._late = True
            log.warning(
                "probe %r has not answered %s in time; its figures are unknown until it does", self.probe.name, what
            )
        return None

    def close(self) -> None:
        """Ask nothing more; a call that hangs is left to hang."""
        if self._busy is not None:
            self._busy.cancel()
        self._thread.close()

    async def _call(self, what: str, question: Callable[[], T]) -> T | None:
        try:
            return await self._thread.call(question)
        except Exception:
            if what not in self._complained:
                self._complained.add(what)
                log.exception("probe %r failed in %s; said once", self.probe.name, what)
            return None
