"""Reading logs that are cut while they are read: the last lines, and what came after a place.

A log that has grown too large is copied to ``NAME.log.1`` and cut (see `rbee.logs.rotation`).  A place in it is
therefore an offset together with the file that was ``NAME.log.1`` then: once that is another one, what is left of the
log as it was is found there.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

_PLACE = re.compile(r"(?P<older>[0-9]{1,20})-(?P<offset>[0-9]{1,18})")
_BLOCK = 64 * 1024
_MOST_FILES = 1000


class LogPlace(msgspec.Struct, frozen=True):
    """A place in a log.

    Attributes:
        older: inode of ``NAME.log.1`` when it was taken, 0 for none.
        offset: bytes of ``NAME.log`` before it.
    """

    older: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> LogPlace | None:
        """The place that `str` has written; None for anything else."""
        found = _PLACE.fullmatch(text) if text.isascii() else None
        return None if found is None else cls(int(found["older"]), int(found["offset"]))

    def __str__(self) -> str:
        return f"{self.older}-{self.offset}"


class LogText(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a log.

    Attributes:
        data: as it was written.
        place: behind it.
        left_out: bytes before it that a limit has left out; None when they were not counted.
    """

    data: bytes
    place: LogPlace
    left_out: int | None = 0


class LogFiles:
    """The files of one log.

    Args:
        folder: where they are.
        name: of the log, without ``.log``.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.current = folder / f"{name}.log"

    def paths(self) -> list[Path]:
        """Those that are there, the oldest first."""
        found = [self.current] if self.current.is_file() else []
        for place in range(1, _MOST_FILES):
            path = self._numbered(place)
            if not path.is_file():
                break
            found.insert(0, path)
        return found

    def end(self) -> LogPlace:
        """The place behind all that is written now."""
        return LogPlace(_inode(self._numbered(1)), _size(self.current))

    def everything(self) -> Iterator[bytes | LogPlace]:
        """All of it in blocks, the oldest first, then the place behind it."""
        end = self.end()
        for path in self.paths():
            yield from _blocks(path, end.offset if path == self.current else None)
        yield end

    def tail(self, lines: int, limit: int) -> LogText:
        """The last lines.

        Args:
            lines: how many; 0 for all.
            limit: most bytes; of lines that are longer, the end.
        """
        end = self.end()
        parts: list[bytes] = []
        taken = breaks = 0
        for path in reversed(self.paths()):
            for block in _blocks_backwards(path, end.offset if path == self.current else None):
                parts.append(block)
                taken += len(block)
                breaks += block.count(b"\n")
                if taken >= limit or (lines and breaks > lines):
                    break
            else:
                continue
            break
        data = b"".join(reversed(parts))
        if lines:
            data = last_lines(data, lines)
        left_out = len(data) > limit
        return LogText(data=data[-limit:], place=end, left_out=None if left_out else 0)

    def after(self, place: LogPlace, limit: int) -> LogText:
        """What was written behind a place; of more than `limit` bytes, the newest."""
        end = self.end()
        if end.older == place.older or not self._is_cut():
            # Shorter, and no copy: whoever keeps no older files has cut it, and the rest is gone.
            start = place.offset if place.offset <= end.offset else 0
            data = _read(self.current, start, end.offset)
            end = LogPlace(place.older, end.offset)
        else:
            data = b"".join(self._since(place, end))
        return LogText(data=data[-limit:], place=end, left_out=max(0, len(data) - limit))

    def _since(self, place: LogPlace, end: LogPlace) -> Iterator[bytes]:
        """What is left of the log as it was, the copies made since, and the log as it is."""
        newer: list[Path] = []
        for number in range(1, _MOST_FILES):
            path = self._numbered(number)
            if not path.is_file() or _inode(path) == place.older:
                break
            newer.insert(0, path)
        for position, path in enumerate(newer):
            size = _size(path)
            # Longer than the copy: its beginning was left out, and the place cannot be found.
            start = place.offset if position == 0 and place.offset <= size else 0
            yield _read(path, start, size)
        yield _read(self.current, 0, end.offset)

    def _is_cut(self) -> bool:
        """Whether the newest copy's original was cut already, which happens a moment after the copy is in place."""
        return _size(self.current) < _size(self._numbered(1))

    def _numbered(self, place: int) -> Path:
        return self.current.with_name(f"{self.current.name}.{place}")


def last_lines(data: bytes, lines: int) -> bytes:
    """The last lines of a text, of which the last need not be ended."""
    at = len(data) - 1 if data.endswith(b"\n") else len(data)
    for _ in range(lines):
        at = data.rfind(b"\n", 0, at)
        if at < 0:
            return data
    return data[at + 1 :]


def whole_characters(data: bytes) -> bytes:
    """The text without a character at its end of which only the beginning is written."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte >= 0xC0:
            length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2
            return data[:-back] if length > back else data
        if byte < 0x80:
            break
    return data


def _open(path: Path) -> BinaryIO:
    # Whoever can write into the folder could put a link to a stranger's file there.
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW))


def _blocks(path: Path, end: int | None) -> Iterator[bytes]:
    with contextlib.suppress(OSError), _open(path) as file:
        left = _size(path) if end is None else end
        while left > 0 and (block := file.read(min(_BLOCK, left))):
            left -= len(block)
            yield block


def _blocks_backwards(path: Path, end: int | None) -> Iterator[bytes]:
    with contextlib.suppress(OSError), _open(path) as file:
        left = _size(path) if end is None else end
        while left > 0:
            start = max(0, left - _BLOCK)
            file.seek(start)
            yield file.read(left - start)
            left = start


def _read(path: Path, start: int, end: int) -> bytes:
    try:
        with _open(path) as file:
            file.seek(start)
            return file.read(max(0, end - start))
    except OSError:
        return b""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
