"""Which engines this machine has, as a program that starts now sees it, and which Python each of them needs."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from rbee.builtin.one_thread import OneThread
from rbee.builtin.python_workers.asking import LIST_S, plugins_of
from rbee.catalog.cancel import Cancel
from rbee.contract.engine import Engine
from rbee.contract.errors import PluginError
from rbee.contract.types import EngineInfo
from rbee.contract.worker_vendor import EngineEnvironment
from rbee.plugins import DESCRIBE_S, engine_info, late

log = logging.getLogger(__name__)

_LIST_APART_S = 20.0
"""Of an engine's environment, which may be broken and must not keep a hive from starting."""


class EnginesFound(msgspec.Struct, frozen=True, kw_only=True):
    """The engines of a machine.

    Attributes:
        engines: each once.
        pythons: the interpreter of those that are not in rbee's own environment, by name.
    """

    engines: tuple[EngineInfo, ...]
    pythons: Mapping[str, str]


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


async def installed_engines(
    environment: Mapping[str, str], environments: Sequence[EngineEnvironment] = ()
) -> EnginesFound:
    """Ask fresh processes: what was installed or removed meanwhile is not seen by one that runs already.

    Args:
        environment: what workers inherit, so that they and this answer agree.
        environments: those in which engines lie apart from rbee.

    Raises:
        PluginError: rbee's own environment could not be asked.
    """
    own = _ask(sys.executable, environment, LIST_S)
    return merged(*await asyncio.gather(own, in_environments(environment, environments)))


async def in_environments(
    environment: Mapping[str, str], environments: Iterable[EngineEnvironment]
) -> list[tuple[str, tuple[EngineInfo, ...]]]:
    """Of each environment its interpreter and its engines; those of a broken one cannot be used, and say why.

    Args:
        environment: what workers inherit.
        environments: all asked at the same time.
    """

    async def ask(one: EngineEnvironment) -> tuple[str, tuple[EngineInfo, ...]]:
        if one.reason is not None:
            return one.python, one.unusable(one.reason)
        try:
            return one.python, one.own(await _ask(one.python, environment, _LIST_APART_S))
        except (PluginError, OSError) as error:
            log.warning("the environment of '%s' cannot be used: %s", one.python, error)
            anew = f"remove it and install it anew: rbee worker remove {one.engines[0].name}" if one.engines else ""
            return one.python, one.unusable(f"its environment is broken ({error}); {anew}")

    return list(await asyncio.gather(*(ask(one) for one in environments)))


def merged(own: Iterable[EngineInfo], apart: Iterable[tuple[str, tuple[EngineInfo, ...]]]) -> EnginesFound:
    """Each engine once: one that can be used before one that cannot; of several, that of rbee's own environment.

    Args:
        own: engines of rbee's own environment.
        apart: interpreters of other environments, with their engines.
    """
    found = {one.name: one for one in own}
    pythons: dict[str, str] = {}
    for python, engines in apart:
        for engine in engines:
            present = found.get(engine.name)
            if present is None or not (present.available or (engine.name in pythons and not engine.available)):
                found[engine.name], pythons[engine.name] = engine, python
    return EnginesFound(engines=tuple(found.values()), pythons=MappingProxyType(pythons))


async def _ask(python: str, environment: Mapping[str, str], within_s: float) -> tuple[EngineInfo, ...]:
    thread, cancel = OneThread(f"engines of {python}"), Cancel()
    try:
        return (await thread.call(plugins_of, python, cancel, environment, within_s)).engines
    finally:
        # Nobody waits for it any more.
        cancel.cancel()
        thread.close()
