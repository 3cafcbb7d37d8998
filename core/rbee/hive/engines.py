"""Which engines this machine has, as a program that starts now sees it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping

import msgspec

from rbee.builtin.one_thread import OneThread
from rbee.contract.engine import Engine
from rbee.contract.errors import PluginError
from rbee.contract.types import EngineInfo
from rbee.plugins import DESCRIBE_S, engine_info, late

_LIST_S = 60.0


class _Installed(msgspec.Struct, frozen=True):
    engines: tuple[EngineInfo, ...]


async def described(engine: type[Engine], within_s: float = DESCRIBE_S) -> EngineInfo:
    """What an engine says of itself; one that raises or hangs is told as not available, with the reason.

    Args:
        engine: asked in a thread of its own.
        within_s: how long it is waited for.
    """
    thread = OneThread(f"engine {engine.name}")
    try:
        async with asyncio.timeout(within_s):
            return await thread.call(engine_info, engine)
    except TimeoutError:
        return late(engine, within_s)
    finally:
        thread.close()


async def installed_engines(environment: Mapping[str, str]) -> tuple[EngineInfo, ...]:
    """Ask a fresh process: what was installed or removed meanwhile is not seen by one that runs already.

    Args:
        environment: what workers inherit, so that they and this answer agree.

    Raises:
        PluginError: it could not be asked.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "rbee.plugins",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=dict(environment),
    )
    try:
        async with asyncio.timeout(_LIST_S):
            told, _ = await process.communicate()
        return msgspec.json.decode(told, type=_Installed).engines
    except (TimeoutError, msgspec.DecodeError) as error:
        raise PluginError(
            f"The installed engines cannot be listed: {error!r}. To see why: python -m rbee.plugins"
        ) from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
