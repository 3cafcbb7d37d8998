"""Files by HTTP: parts of them, sent as quickly as the kernel can, and what may go wrong on the way."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from rbee.testing.hub.contents import Entry
from rbee.testing.hub.faults import Fault, Faults
from rbee.testing.hub.ledger import Ledger
from rbee.testing.hub.origins import Exchange

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")
_BLOCK: Final = 1 << 20
_TICKS_PER_S: Final = 20
_SLOW_BLOCK: Final = 16 * 1024
"""Little is on its way when a slow line is cut: what nobody reads any more is sent, and counted, all the same."""
_FLIP: Final = bytes(255 - byte for byte in range(256))


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    start: int
    end: int
    """Behind the last byte."""


def send_file(
    exchange: Exchange, name: str, entry: Entry, headers: Mapping[str, str], faults: Faults, ledger: Ledger
) -> None:
    """Answer with a file or the part of it that was asked for.

    Args:
        exchange: to be answered.
        name: of the file in faults and counts.
        entry: the file.
        headers: to be sent with it.
        faults: that may be met.
        ledger: counts the bytes.
    """
    fault = faults.take(exchange.origin, exchange.command, name, instead=False) or Fault()
    size = entry.size if fault.truncated_to is None else min(entry.size, fault.truncated_to)
    named = {
        "ETag": f'"{entry.etag}"',
        "Content-Type": "application/octet-stream",
        **({} if fault.no_ranges else {"Accept-Ranges": "bytes"}),
        **headers,
    }
    part = None if fault.no_ranges else _asked(exchange, size, entry.etag)
    if part is not None and part.start >= part.end:
        exchange.begin(416, {**named, "Content-Range": f"bytes */{size}"}, 0)
        return
    if part is None:
        part = _Part(start=0, end=size)
        exchange.begin(200, named, size)
    else:
        told = f"bytes {part.start}-{part.end - 1}/{size}"
        exchange.begin(206, {**named, "Content-Range": told}, part.end - part.start)
    if exchange.command != "HEAD":
        _send(exchange, name, entry, part, fault, ledger)


def _asked(exchange: Exchange, size: int, etag: str) -> _Part | None:
    """The one part that was asked for; None for the whole."""
    wanted = exchange.headers.get("Range")
    match = _RANGE.fullmatch(wanted.strip()) if wanted else None
    if match is None or match.group(0) == "bytes=-":
        return None
    if (unchanged := exchange.headers.get("If-Range")) is not None and unchanged != f'"{etag}"':
        return None
    if not match[1]:
        return _Part(start=max(0, size - int(match[2])) if int(match[2]) else size, end=size)
    end = min(size, int(match[2]) + 1) if match[2] else size
    return _Part(start=int(match[1]), end=end)


def _send(exchange: Exchange, name: str, entry: Entry, part: _Part, fault: Fault, ledger: Ledger) -> None:
    end = part.end if fault.cut_after is None else min(part.end, part.start + fault.cut_after)
    step = _BLOCK if fault.bytes_per_s is None else max(1, min(_SLOW_BLOCK, fault.bytes_per_s // _TICKS_PER_S))
    began = time.monotonic()
    at = part.start
    while at < end:
        size = min(step, end - at)
        # Counted first: whoever has read all of it finds all of it counted.
        ledger.count(name, size)
        _send_block(exchange, entry, at, size, wrong=fault.wrong)
        at += size
        if fault.bytes_per_s is not None:
            due = began + (at - part.start) / fault.bytes_per_s
            if exchange.stopping.wait(max(0.0, due - time.monotonic())):
                exchange.cut()
                return
    if end < part.end:
        exchange.cut()


def _send_block(exchange: Exchange, entry: Entry, at: int, size: int, *, wrong: bool) -> None:
    line = exchange.connection
    if isinstance(entry.content, Path):
        with entry.content.open("rb") as file:
            if wrong:
                file.seek(at)
                line.sendall(file.read(size).translate(_FLIP))
            else:
                line.sendfile(file, at, size)
    else:
        block = entry.content[at : at + size]
        line.sendall(block.translate(_FLIP) if wrong else block)
