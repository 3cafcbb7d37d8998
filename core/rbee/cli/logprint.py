"""Writing a log's lines to stdout, as they are or one JSON object each."""

from __future__ import annotations

import re
import sys

import msgspec

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]|\x1b(?!\[[0-9;]{0,16}m)")
"""What a terminal would obey but colours: a log may hold whatever a program or a model file made it write."""


class LogPrinter:
    """Takes text in pieces.

    Args:
        name: of the log.
        as_json: print each line as an object with `name` and `line`.
    """

    def __init__(self, name: str, *, as_json: bool) -> None:
        self._name = name
        self._as_json = as_json
        self._plain = not as_json and not sys.stdout.isatty()
        self._begun = b""

    def write(self, data: bytes) -> None:
        """The next piece; a line that is not ended waits for its end, but in a pipe."""
        if not data:
            return
        if self._plain:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        lines = (self._begun + data).split(b"\n")
        self._begun = lines.pop()
        for line in lines:
            self._line(line)
        sys.stdout.flush()

    def finish(self) -> None:
        """Nothing more comes: what was begun is printed too."""
        if self._begun:
            self._line(self._begun)
            self._begun = b""
        sys.stdout.flush()

    def _line(self, raw: bytes) -> None:
        text = raw.decode("utf-8", "replace")
        if self._as_json:
            sys.stdout.write(msgspec.json.encode({"name": self._name, "line": text}).decode() + "\n")
        else:
            sys.stdout.write(safe(text) + "\n")


def safe(line: str) -> str:
    """A line that does nothing to a terminal but colour it; other control characters become a question mark."""
    return _CONTROLS.sub("?", line.removesuffix("\r"))
