"""What was asked and sent."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from fnmatch import fnmatchcase

import msgspec

from rbee.testing.hub.faults import OriginName


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One request.

    Attributes:
        origin: where it came in: ``hub``, or ``cdn``, where large files are.
        method: ``GET``, ...
        path: of its address, decoded.
        query: of its address, as it came.
        headers: names in lower case.
        name: ``org/name/path/of/file`` for a file's; the path for another.
    """

    origin: OriginName
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    name: str

    @property
    def token(self) -> str | None:
        """The token that came with it."""
        return self.headers.get("authorization", "").removeprefix("Bearer ") or None


class Ledger:
    """Counts; safe in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: list[Seen] = []
        self._sent: Counter[str] = Counter()

    def note(self, seen: Seen) -> None:
        """Note a request."""
        with self._lock:
            self._seen.append(seen)

    def count(self, name: str, size: int) -> None:
        """Note bytes of a file that were sent."""
        with self._lock:
            self._sent[name] += size

    def clear(self) -> None:
        """Begin anew."""
        with self._lock:
            self._seen.clear()
            self._sent.clear()

    def requests(
        self, pattern: str = "*", *, origin: OriginName | None = None, method: str | None = None
    ) -> list[Seen]:
        """Requests in the order in which they came.

        Args:
            pattern: against `Seen.name`.
            origin: only those that came in there.
            method: only those of this method.
        """
        with self._lock:
            return [
                seen
                for seen in self._seen
                if fnmatchcase(seen.name, pattern) and origin in {None, seen.origin} and method in {None, seen.method}
            ]

    def sent(self, pattern: str = "*") -> int:
        """Bytes of files that were sent, without headers; what a client has not read of them counts too."""
        with self._lock:
            return sum(size for name, size in self._sent.items() if fnmatchcase(name, pattern))
