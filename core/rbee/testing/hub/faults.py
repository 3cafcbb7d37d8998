"""What goes wrong on demand."""

from __future__ import annotations

import threading
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

OriginName = Literal["hub", "cdn"]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that goes wrong; give what is wanted of it.

    A fault with a status, and one that hangs, is met before anything is looked up, by default at the hub itself; the
    others are met where the bytes of the file are sent.

    Attributes:
        cut_after: bytes of a body after which the line is cut.
        bytes_per_s: how quick the line is.
        wrong: bytes of the content are others than they should be; as many.
        truncated_to: the file ends after so many bytes, and the answer says so.
        status: answered instead: 401, 403, 404, 429, 500, ...
        error_code: goes with the status as ``X-Error-Code``.
        retry_after: goes with the status.
        hang: nothing is answered until the client goes, or the hub stops.
        no_ranges: parts cannot be asked for: everything is sent from its beginning.
        origin: where it is met; None for the place that is told above.
    """

    cut_after: int | None = None
    bytes_per_s: int | None = None
    wrong: bool = False
    truncated_to: int | None = None
    status: int | None = None
    error_code: str | None = None
    retry_after: int | str | None = None
    hang: bool = False
    no_ranges: bool = False
    origin: OriginName | None = None

    @property
    def instead(self) -> bool:
        """Whether it is met instead of any answer."""
        return self.status is not None or self.hang


class _Armed:
    def __init__(self, pattern: str, fault: Fault, times: int | None, methods: tuple[str, ...]) -> None:
        self.pattern = pattern
        self.fault = fault
        self.left = times
        self.methods = methods


class Faults:
    """Faults that wait for their requests; safe in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []

    def arm(self, pattern: str, fault: Fault, times: int | None, methods: tuple[str, ...]) -> None:
        """Let a fault meet the next requests for what a pattern fits, the earliest armed first.

        Args:
            pattern: with ``*``, ``?`` and ``[]``; against ``org/name/path/of/file`` of a file, and the path of the
                address of any other request.
            fault: what happens.
            times: to how many requests; None for all from now on.
            methods: of requests that it is met by.
        """
        with self._lock:
            self._armed.append(_Armed(pattern, fault, times, methods))

    def clear(self) -> None:
        """Forget all that wait."""
        with self._lock:
            self._armed.clear()

    def take(self, origin: OriginName, method: str, name: str, *, instead: bool) -> Fault | None:
        """The fault that a request meets, counted as met."""
        with self._lock:
            for armed in self._armed:
                fault = armed.fault
                if fault.instead is not instead or method not in armed.methods:
                    continue
                if (fault.origin or ("hub" if instead else origin)) != origin:
                    continue
                if not fnmatchcase(name, armed.pattern):
                    continue
                if armed.left is not None:
                    armed.left -= 1
                    if armed.left <= 0:
                        self._armed.remove(armed)
                return fault
        return None
