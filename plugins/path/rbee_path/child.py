"""A server as a child of the worker: started, listened to, ended with all that it has started."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence

_LAST_LINES = 6
_KEPT_LINES = 60
_LINE = 500
_END_S = 5.0
_BREAKS = re.compile(rb"[\r\n]+")


class Child:
    """One process, in a group of its own within the worker's session, so that the hive finds it too.

    Its output goes on to the worker's log.

    Args:
        argv: program and arguments.
        environment: whole.
    """

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self._said: deque[str] = deque(maxlen=_KEPT_LINES)
        self._process = subprocess.Popen(
            argv,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        self._reader = threading.Thread(target=self._read, name="engine's output", daemon=True)
        self._reader.start()

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    @property
    def pid(self) -> int:
        """Its process, which leads its group."""
        return self._process.pid

    def said(self) -> list[str]:
        """The last lines that it has written; of one that has ended, all that was on its way too."""
        if self.code is not None:
            self._reader.join(1.0)
        return list(self._said)

    def last_words(self) -> str:
        """The end of that, for a message."""
        return " | ".join(self.said()[-_LAST_LINES:])

    def end(self) -> None:
        """End it and its group: by request, then by force.  Harmless when repeated."""
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
        # What it has started may live on in its group.
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._reader.join(_END_S)
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _read(self) -> None:
        if self._process.stdout is None:
            return
        descriptor, rest = self._process.stdout.fileno(), b""
        while chunk := os.read(descriptor, 65536):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                sys.stderr.buffer.write(chunk)
                sys.stderr.flush()
            *lines, rest = _BREAKS.split(rest + chunk)
            rest = rest[-_LINE:]
            self._said.extend(_clean(line) for line in lines if line.strip())
        if rest.strip():
            self._said.append(_clean(rest))


def _clean(line: bytes) -> str:
    text = line.decode("utf-8", "replace").strip()[:_LINE]
    return "".join(char if char.isprintable() else " " for char in text)
