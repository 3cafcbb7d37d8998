"""A job's events as they are shown to a person: sentences and text to stdout, progress in passing."""

from __future__ import annotations

import sys
import time

import msgspec

from rbee.cli.console import EVERY_S, say
from rbee.cli.format import UNKNOWN, byte_size, duration, line, printable
from rbee.contract.wire import JobEvent

_CLEAR = "\r\x1b[K"


class Watcher:
    """Prints events.

    Args:
        as_json: a JSON object a line, with the number of each event.
        live: stderr is a terminal that can clear a line.
    """

    def __init__(self, *, as_json: bool, live: bool) -> None:
        self._as_json = as_json
        self._live = live
        self._line_ended = True
        self._shown = False
        self._told_at: float | None = None

    def event(self, number: int, event: JobEvent) -> None:
        """Show one."""
        if self._as_json:
            told = {"seq": number, **msgspec.to_builtins(event)}
            self._write(msgspec.json.encode(told).decode() + "\n")
        elif event.type == "progress":
            self._progress(event)
        elif event.type == "narration" and event.human:
            self.done()
            self._write(f"{line(event.human)}\n")
        elif event.type == "data" and event.action == "token":
            self.clear()
            self._write(str(event.payload["t"]))
        elif event.type == "data" and event.action == "result":
            self.done()
            self._write(msgspec.json.encode(event.payload).decode() + "\n")

    def clear(self) -> None:
        """Take the passing line off the screen."""
        if self._shown:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
            self._shown = False

    def done(self) -> None:
        """Leave the screen clean, and the last line ended.  Harmless when repeated."""
        self.clear()
        if not self._line_ended:
            self._write("\n")

    def _progress(self, event: JobEvent) -> None:
        told = progress_line(event)
        if self._live:
            if self._line_ended:
                sys.stderr.write(f"{_CLEAR}{told}")
                sys.stderr.flush()
                self._shown = True
            return
        now = time.monotonic()
        finished = event.total is not None and event.done == event.total
        if finished or self._told_at is None or now - self._told_at >= EVERY_S:
            self._told_at = now
            say(told)

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
        self._line_ended = text.endswith("\n")


def progress_line(event: JobEvent) -> str:
    """``model_download  1.2 GiB of 4.0 GiB  30 %  12.0 MiB/s``; what is unknown is left out."""
    size = byte_size if event.unit in {"bytes", None} else str
    done = UNKNOWN if event.done is None else size(event.done)
    parts = [event.action or "", _file(event), done if event.total is None else f"{done} of {size(event.total)}"]
    if event.unit not in {"bytes", None}:
        parts[-1] += f" {event.unit}"
    if event.total and event.done is not None:
        parts.append(f"{100 * event.done // event.total} %")
    if event.rate:
        parts.append(f"{size(int(event.rate))}/s")
    if event.eta_s:
        parts.append(f"{duration(event.eta_s)} left")
    return printable("  ".join(part for part in parts if part))


def _file(event: JobEvent) -> str:
    if event.item is None or event.items is None or event.items < 2:
        return ""
    return f"file {event.item} of {event.items}"
