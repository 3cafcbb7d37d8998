"""The installer of a Python environment, run as a process whose output is told and which can be ended."""

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
_LAST_LINES = 4
_LINE = 500
_NO_NETWORK = re.compile(
    r"dns error|name resolution|nodename nor servname|network is unreachable|connection refused|timed out|"
    r"failed to fetch|connecttimeout|newconnectionerror|tunnel error|error sending request",
    re.IGNORECASE,
)


def install_command(python: str, requirement: str) -> list[str]:
    """The command that installs a requirement into the environment of an interpreter.

    Raises:
        ConfigurationError: there is no installer.
    """
    return [*_installer(python, "install"), requirement]


def uninstall_command(python: str, distribution: str) -> list[str]:
    """The command that takes a distribution out again.

    Raises:
        ConfigurationError: there is no installer.
    """
    return [*_installer(python, "uninstall"), distribution]


def run(command: Sequence[str], say: Callable[[str], None], cancel: CancelToken) -> None:
    """Run an installer to its end.  Blocks: for a thread.

    Args:
        command: with its arguments.
        say: takes each line of its output.
        cancel: ends it, with all that it has started.

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
        _fail(command, code, " | ".join(said))


def _installer(python: str, what: str) -> list[str]:
    beside = Path(python).parent
    has_pip = any(beside.parent.glob("lib*/python3*/site-packages/pip/__init__.py"))
    uv = str(beside / "uv") if (beside / "uv").is_file() else shutil.which("uv")
    if uv is not None and (not has_pip or _made_by_uv(beside.parent)):
        return [uv, "pip", what, "--quiet" if what == "uninstall" else "--no-progress", "--python", python]
    if has_pip:
        more = ["--yes"] if what == "uninstall" else ["--no-input", "--progress-bar", "off", "--retries", "2"]
        return [python, "-m", "pip", what, "--disable-pip-version-check", *more]
    raise ConfigurationError(
        f"The Python environment of '{python}' has no installer. Put one there (`{shlex.quote(python)} -m ensurepip`), "
        "or install uv, and try again."
    )


def _made_by_uv(environment: Path) -> bool:
    try:
        return "\nuv = " in "\n" + (environment / "pyvenv.cfg").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


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
