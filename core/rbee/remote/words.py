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
        skipped: how many lines at its beginning are no part of it.
        kept: whether the text is kept at all.

    Attributes:
        first: the first line that was skipped; None before it came.
    """

    def __init__(self, tell: Callable[[str], None] | None, skipped: int = 0, kept: bool = True) -> None:
        self.first: str | None = None
        self._tell = tell or (lambda _: None)
        self._skip = skipped > 0
        self._kept = bytearray()
        self._room = MOST if kept else 0
        self._head = b""
        self._line = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, piece: bytes) -> None:
        """Some more of it."""
        if self._skip:
            self._head += piece
            head, newline, rest = self._head.partition(b"\n")
            if not newline:
                return
            self.first = head.decode("ascii", "replace").strip()
            self._skip = False
            piece = rest
        self._kept += piece[: max(0, self._room - len(self._kept))]
        self._told(self._decoder.decode(piece))

    def end(self) -> None:
        """All of it has come: a last line without its end is told too."""
        self._told(self._decoder.decode(b"", final=True))
        if self._line:
            self._tell(self._line)
            self._line = ""

    def text(self) -> str:
        """What was kept, undecodable bytes replaced."""
        return self._kept.decode("utf-8", "replace")

    def _told(self, text: str) -> None:
        *whole, self._line = (self._line + text).split("\n")
        for line in whole:
            self._tell(line.removesuffix("\r"))
        if len(self._line) > _LONGEST:
            self._tell(self._line)
            self._line = ""
