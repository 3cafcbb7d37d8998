"""What an interpreter finds: ``python -m rbee.plugins``, asked of rbee's own environment or of an engine's."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Mapping

import msgspec

from rbee.contract.errors import PluginError
from rbee.contract.types import EngineInfo
from rbee.contract.vendor import CancelToken

LIST_S = 60.0
"""How long an answer may take."""

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


def plugins_of(
    python: str,
    cancel: CancelToken | None = None,
    environment: Mapping[str, str] | None = None,
    within_s: float = LIST_S,
) -> FoundPlugins:
    """What a program that starts now with this interpreter finds.  Blocks: for a thread.

    Args:
        python: the interpreter.
        cancel: ends it early.
        environment: of that program; None for this one's.
        within_s: how long it may take.

    Raises:
        CancelledByCallerError: through `cancel`.
        PluginError: it cannot be asked, and the last that it said.
    """
    command = [python, "-m", "rbee.plugins"]
    try:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        ) as process:
            try:
                told, said = _communicate(process, cancel, time.monotonic() + within_s)
            except BaseException:
                process.kill()
                raise
        return msgspec.json.decode(told, type=FoundPlugins)
    except subprocess.TimeoutExpired as error:
        raise _failed(f"no answer within {within_s:g} s", command) from error
    except (msgspec.DecodeError, RecursionError) as error:
        last = (said.decode("utf-8", "replace").strip().splitlines() or [str(error)])[-1]
        raise _failed(last, command) from error
    except OSError as error:
        raise _failed(str(error), command) from error


def _communicate(process: subprocess.Popen[bytes], cancel: CancelToken | None, until: float) -> tuple[bytes, bytes]:
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
