"""A cancel token for tests."""

from __future__ import annotations

import threading

from rbee.contract.errors import CancelledByCallerError


class Cancel:
    """Satisfies `rbee.contract.CancelToken`; a test calls `cancel` when it wants the work to end."""

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def cancelled(self) -> bool:
        """True once `cancel` was called."""
        return self._event.is_set()

    def cancel(self) -> None:
        """Cancel for good; harmless when repeated, from any thread."""
        self._event.set()

    def raise_if_cancelled(self) -> None:
        """Raise once cancelled.

        Raises:
            CancelledByCallerError: `cancel` was called.
        """
        if self.cancelled:
            raise CancelledByCallerError("the test cancelled the work; call again to go on")
