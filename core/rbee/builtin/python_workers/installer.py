"""The installer, uv: its commands, and running it as a process whose output is told and which can be ended."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from rbee.contract.errors import ConfigurationError, PluginError, UnreachableError
from rbee.contract.vendor import CancelToken

_LOOK_S = 0.1
_END_S = 3.0
_LAST_LINES = 6
_LINE = 500
_NO_NETWORK = re.compile(
    r"dns error|name resolution|nodename nor servname|network is unreachable|connection refused|timed out|"
    r"failed to fetch|connecttimeout|newconnectionerror|tunnel error|error sending request",
    re.IGNORECASE,
)


def find_uv(python: str) -> str:
    """The installer: beside an interpreter, or on the path.

    Raises:
        ConfigurationError: there is none.
    """
    beside = Path(python).parent / "uv"
    uv = str(beside) if beside.is_file() else shutil.which("uv")
    if uv is None:
        raise ConfigurationError(
            "Engines are installed by uv, and it is not here. "
            f"Install it and try again: {shlex.quote(python)} -m pip install uv"
        )
    return uv


def venv_command(uv: str, python: str, folder: Path) -> list[str]:
    """Makes an empty virtual environment."""
    return [uv, "venv", "--quiet", "--no-project", "--python", python, str(folder)]


def compile_command(uv: str, python: Path, wanted: Path, overrides: Path, constraints: Path, into: Path) -> list[str]:
    """Settles versions and hashes of all that is to be installed."""
    command = [uv, "pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--python", str(python)]
    return [*command, "--overrides", str(overrides), "--constraints", str(constraints), "-o", str(into), str(wanted)]


def install_command(uv: str, python: Path, requirements: Path) -> list[str]:
    """Installs exactly what was settled; a file that has changed since does not match its hash and is refused."""
    command = [uv, "pip", "install", "--no-progress", "--python", str(python)]
    return [*command, "--no-deps", "--require-hashes", "-r", str(requirements)]


def run(
    command: Sequence[str],
    say: Callable[[str], None],
    cancel: CancelToken,
    *,
    folder: Path | None = None,
    by_hand: Sequence[str] | None = None,
) -> None:
    """Run an installer to its end.  Blocks: for a thread.

    Args:
        command: with its arguments.
        say: takes each line of its output.
        cancel: ends it, with all that it has started.
        folder: where it runs, so that no project's settings are in its way; None for here.
        by_hand: what a person may try when it fails; None for the command itself.

    Raises:
        CancelledByCallerError: through `cancel`.
        UnreachableError: it could not reach where packages come from.
        PluginError: it failed otherwise; the message has its last words and the command.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        cwd=folder,
    )
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(process, lines), name="installer output", daemon=True)
    reader.start()
    said: deque[str] = deque(maxlen=_LAST_LINES)
    try:
        while True:
            cancel.raise_if_cancelled()
            try:
                line = lines.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            if line is None:
                break
            if line:
                said.append(line)
                say(line)
        code = process.wait()
    finally:
        _end(process)
        reader.join(_END_S)
        if process.stdout is not None:
            process.stdout.close()
    if code:
        _fail(by_hand or command, code, " | ".join(said))


def _read(process: subprocess.Popen[bytes], lines: queue.SimpleQueue[str | None]) -> None:
    if process.stdout is not None:
        # Closed under us when the process was ended and something it had started keeps the pipe.
        with contextlib.suppress(ValueError, OSError):
            for raw in process.stdout:
                lines.put(raw.decode("utf-8", "replace").strip()[:_LINE])
    lines.put(None)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process, if it still runs, and whatever it has started."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _fail(command: Sequence[str], code: int, last: str) -> None:
    by_hand = f"To try it by hand: {shlex.join(command)}"
    if _NO_NETWORK.search(last):
        raise UnreachableError(
            f"The packages could not be fetched; is this machine connected? The installer said: {last}. {by_hand}"
        )
    raise PluginError(f"The installer ended with code {code}. It said: {last or 'nothing'}. {by_hand}")
