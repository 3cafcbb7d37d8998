"""Names of the members of archives; nothing is unpacked."""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

ZIP: Final = b"PK\x03\x04"
MOST_MEMBERS: Final = 10_000
LARGEST_DIRECTORY: Final = 2 << 20
LONGEST_COMMENT: Final = 65_535

_LOCAL: Final = struct.Struct("<4s5HIIIHH")
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
_END: Final = struct.Struct("<4s4H2IH")
_LARGE: Final = 76
"""Bytes that stand between the directory and its end in an archive of more than 4 GiB."""
_BLOCK: Final = 512


def names_in_zip(file: BinaryIO, head: bytes, size: int) -> tuple[str, ...]:
    """Names of members, as far as they are found within bounds: the first by its head, the rest in the directory.

    Args:
        file: able to seek.
        head: its first bytes.
        size: its length.
    """
    if not head.startswith(ZIP) or len(head) < _LOCAL.size:
        return ()
    length = _LOCAL.unpack_from(head)[9]
    names = [_text(head[_LOCAL.size : _LOCAL.size + length])]
    tail_at = max(0, size - LONGEST_COMMENT - _END.size)
    file.seek(tail_at)
    tail = file.read(LONGEST_COMMENT + _END.size)
    found = tail.rfind(b"PK\x05\x06")
    if found < 0 or found + _END.size > len(tail):
        return tuple(names)
    end = _END.unpack_from(tail, found)
    # Where the directory lies is counted back from its end, which holds also when something stands before the archive
    # and when the numbers for a large one are elsewhere.
    directory_bytes = min(end[5], LARGEST_DIRECTORY)
    start = tail_at + found - end[5] - _LARGE if end[5] != 0xFFFFFFFF else tail_at
    file.seek(max(0, start))
    data = file.read(directory_bytes + _LARGE)
    at = data.find(b"PK\x01\x02")
    while 0 <= at <= len(data) - _CENTRAL.size and len(names) < MOST_MEMBERS:
        fields = _CENTRAL.unpack_from(data, at)
        if fields[0] != b"PK\x01\x02":
            break
        at += _CENTRAL.size
        names.append(_text(data[at : at + fields[10]]))
        at += fields[10] + fields[11] + fields[12]
    return tuple(names)


def names_in_tar(file: BinaryIO, head: bytes, size: int) -> tuple[str, ...]:
    """Names of the first members of a tar archive; none when it is none.

    Args:
        file: able to seek.
        head: its first bytes.
        size: its length.
    """
    if head[257:262] != b"ustar":
        return ()
    names: list[str] = []
    at = 0
    while at + _BLOCK <= size and len(names) < 64:
        file.seek(at)
        header = file.read(_BLOCK)
        if header[257:262] != b"ustar":
            break
        names.append(_text(header[:100].partition(b"\0")[0]))
        digits = header[124:136].strip(b" \0")
        if not digits.isdigit():
            break
        try:
            length = int(digits, 8)
        except ValueError:
            break
        at += _BLOCK + -(-length // _BLOCK) * _BLOCK
    return tuple(names)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
