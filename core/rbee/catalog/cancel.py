"""Telling work in a thread that nobody wants its result any more."""

from __future__ import annotations

import threading

from rbee.contract.errors import CancelledByCallerError


class Cancel:
    """A cancel token that any thread may set."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Tell the work to stop."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """True once cancelled."""
        return self._event.is_set()

    def raise_if_cancelled(self) -> None:
        """Raise once cancelled."""
        if self._event.is_set():
            raise CancelledByCallerError("It was cancelled.")
