"""What a command writes, as it comes."""

from __future__ import annotations

import codecs
from collections.abc import Callable

MOST = 1024 * 1024
"""Bytes of one output that are kept; the rest is read and forgotten."""

_LONGEST = 64 * 1024


class Words:
    """Gathers one output and tells its lines.

    Args:
        tell: told each line, without its end; one that never ends in pieces.
        marker: begins the line before it; what comes earlier still is no part of it, as what a login shell greets
            with. None where all that comes is part of it.
        kept: whether the text is kept at all.

    Attributes:
        marked: the rest of the line of the marker; None before it came.
    """

    def __init__(self, tell: Callable[[str], None] | None, marker: str | None = None, kept: bool = True) -> None:
        self.marked: str | None = None
        self._tell = tell or (lambda _: None)
        self._marker = None if marker is None else marker.encode()
        self._kept = bytearray()
        self._room = MOST if kept else 0
        self._head = b""
        self._line = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, piece: bytes) -> None:
        """Some more of it."""
        if self._marker is not None:
            self._head += piece
            _, found, rest = self._head.partition(self._marker)
            number, newline, piece = rest.partition(b"\n")
            if not (found and newline):
                self._head = self._head[-_LONGEST:]
                return
            self.marked = number.decode("ascii", "replace").strip()
            self._marker, self._head = None, b""
        self._take(piece)

    def end(self) -> None:
        """All of it has come: a last line without its end is told too."""
        if self._marker is not None:
            # It never began: what came instead says why.
            self._marker = None
            self._take(self._head)
        self._told(self._decoder.decode(b"", final=True))
        if self._line:
            self._tell(self._line)
            self._line = ""

    def text(self) -> str:
        """What was kept, undecodable bytes replaced."""
        return self._kept.decode("utf-8", "replace")

    def _take(self, piece: bytes) -> None:
        self._kept += piece[: max(0, self._room - len(self._kept))]
        self._told(self._decoder.decode(piece))

    def _told(self, text: str) -> None:
        *whole, self._line = (self._line + text).split("\n")
        for line in whole:
            self._tell(line.removesuffix("\r"))
        if len(self._line) > _LONGEST:
            self._tell(self._line)
            self._line = ""
