"""What an interpreter finds: ``python -m rbee.plugins``, asked of rbee's own environment or of an engine's."""

from __future__ import annotations

import shlex
import subprocess
import time

import msgspec

from rbee.contract.errors import PluginError
from rbee.contract.types import EngineInfo
from rbee.contract.vendor import CancelToken

_LIST_S = 60.0
_LOOK_S = 0.1


class FoundPlugin(msgspec.Struct, frozen=True):
    """As much of a plugin's record as is needed here."""

    name: str
    distribution: str | None
    status: str = "loaded"
    error: str | None = None
    registered: dict[str, tuple[str, ...]] = {}


class FoundPlugins(msgspec.Struct, frozen=True):
    """What it prints."""

    plugins: tuple[FoundPlugin, ...]
    engines: tuple[EngineInfo, ...]


def plugins_of(python: str, cancel: CancelToken | None = None) -> FoundPlugins:
    """What a program that starts now with this interpreter finds.  Blocks: for a thread.

    Args:
        python: the interpreter.
        cancel: ends it early.

    Raises:
        CancelledByCallerError: through `cancel`.
        PluginError: it cannot be asked, and the last that it said.
    """
    command = [python, "-m", "rbee.plugins"]
    try:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            try:
                told, said = _communicate(process, cancel)
            except BaseException:
                process.kill()
                raise
        return msgspec.json.decode(told, type=FoundPlugins)
    except msgspec.DecodeError as error:
        last = (said.decode("utf-8", "replace").strip().splitlines() or [str(error)])[-1]
        raise _failed(last, command) from error
    except (subprocess.SubprocessError, OSError) as error:
        raise _failed(str(error), command) from error


def _communicate(process: subprocess.Popen[bytes], cancel: CancelToken | None) -> tuple[bytes, bytes]:
    until = time.monotonic() + _LIST_S
    while True:
        if cancel is not None:
            cancel.raise_if_cancelled()
        try:
            return process.communicate(timeout=_LOOK_S)
        except subprocess.TimeoutExpired:
            if time.monotonic() > until:
                raise


def _failed(why: str, command: list[str]) -> PluginError:
    return PluginError(f"The installed plugins cannot be listed: {why}. To see why: {shlex.join(command)}")
