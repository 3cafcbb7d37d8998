"""Reading a head from its first byte to its last, never more than a bound."""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

from rbee.contract.formats.refusals import refusal

LARGEST_HEAD: Final = 256 << 20
"""Bytes read of a head at most.  The largest seen hold a vocabulary of a million words and stay below 64 MiB."""

_BLOCK: Final = 1 << 18
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")


class HeadEndsError(Exception):
    """The stream ends within the head.  Never leaves this package."""


class Reader:
    """Little-endian values from a stream, one after the other.

    Args:
        stream: gives bytes; need not be able to seek.
        name: of the file, for messages.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._buffer = b""
        self._at = 0
        self._before = 0
        self.name = name

    @property
    def position(self) -> int:
        """Bytes read or skipped since the start."""
        return self._before + self._at

    def exactly(self, count: int) -> bytes:
        """The next `count` bytes.

        Raises:
            HeadEndsError: there are fewer.
            ModelFileError: the head would be too large.
        """
        self._have(count)
        self._at += count
        return self._buffer[self._at - count : self._at]

    def u32(self) -> int:
        """The next four bytes as a number."""
        self._have(4)
        self._at += 4
        return int(_U32.unpack_from(self._buffer, self._at - 4)[0])

    def u64(self) -> int:
        """The next eight bytes as a number."""
        self._have(8)
        self._at += 8
        return int(_U64.unpack_from(self._buffer, self._at - 8)[0])

    def text(self, longest: int, what: str) -> bytes:
        """A length and as many bytes.

        Args:
            longest: bytes it may have.
            what: for the message.
        """
        length = self.u64()
        if length > longest:
            raise refusal(self.name, f"has {what} of {length} bytes, more than {longest}")
        return self.exactly(length)

    def skip(self, count: int) -> None:
        """Pass over `count` bytes without keeping them."""
        self._bound(count)
        left = count - (len(self._buffer) - self._at)
        if left <= 0:
            self._at += count
            return
        self._before += len(self._buffer)
        self._buffer, self._at = b"", 0
        while left > 0:
            block = self._stream.read(min(left, _BLOCK))
            if not block:
                raise HeadEndsError
            self._before += len(block)
            left -= len(block)

    def skip_texts(self, count: int, longest: int, what: str) -> None:
        """Pass over `count` texts one by one: a vocabulary has hundreds of thousands.

        Args:
            count: how many.
            longest: bytes each may have.
            what: for the message.
        """
        unpack = _U64.unpack_from
        while count:
            self._have(8)
            # As many as lie whole in the buffer, without a call each.
            buffer, at, last = self._buffer, self._at, len(self._buffer) - 8
            while count and at <= last:
                length = unpack(buffer, at)[0]
                if at + length > last:
                    break
                at += 8 + length
                count -= 1
            self._at = at
            if count:
                length = self.u64()
                if length > longest:
                    raise refusal(self.name, f"has {what} of {length} bytes, more than {longest}")
                self.skip(length)
                count -= 1

    def _have(self, count: int) -> None:
        """Make the next `count` bytes lie in the buffer."""
        if count <= len(self._buffer) - self._at:
            return
        self._bound(count)
        blocks = [self._buffer[self._at :]]
        have = len(blocks[0])
        while have < count:
            block = self._stream.read(max(min(count - have, 4 * _BLOCK), _BLOCK))
            if not block:
                break
            blocks.append(block)
            have += len(block)
        self._before += self._at
        self._buffer, self._at = b"".join(blocks), 0
        if have < count:
            raise HeadEndsError

    def _bound(self, count: int) -> None:
        if self.position + count > LARGEST_HEAD:
            raise refusal(self.name, f"has a head of more than {LARGEST_HEAD >> 20} MiB")
