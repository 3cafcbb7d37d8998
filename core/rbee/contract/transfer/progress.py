"""How far a transfer of several files is."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rbee.contract.types import ModelFile
from rbee.contract.vendor import FetchProgress

_EACH_S = 0.1


class Meter:
    """Adds up what is there of each file; never goes back, never passes the total.

    Args:
        files: all of them.
        progress: told, some times a second.

    Attributes:
        received: bytes that came from the network; whoever receives adds to it.
    """

    def __init__(self, files: Sequence[ModelFile], progress: FetchProgress) -> None:
        self._progress = progress
        self._sizes = {file.name: file.size_bytes for file in files}
        self._there = dict.fromkeys(self._sizes, 0)
        self._most = 0
        self._told_at = float("-inf")
        self.received = 0

    def learn(self, name: str, size: int | None) -> None:
        """The size of a file, once somebody knows it."""
        if self._sizes[name] is None:
            self._sizes[name] = size

    def found(self, name: str, length: int) -> None:
        """So much of a file is there."""
        size = self._sizes[name]
        self._there[name] = length if size is None else min(length, size)

    def reached(self, name: str, length: int) -> None:
        """So much of a file is there now; told when it is time."""
        self.found(name, length)
        if time.monotonic() - self._told_at >= _EACH_S:
            self.tell()

    def finished(self, name: str, size: int) -> None:
        """All of a file is there."""
        self.learn(name, size)
        self.found(name, size)

    def tell(self) -> None:
        """Tell the state of things."""
        self._told_at = time.monotonic()
        sizes = [size for size in self._sizes.values() if size is not None]
        total = sum(sizes) if len(sizes) == len(self._sizes) else None
        done = sum(self._there.values())
        self._most = max(self._most, done if total is None else min(done, total))
        self._progress(self._most, total)
