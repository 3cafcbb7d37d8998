"""Offers of engines: those of rbee's own environment, and those that lie beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from packaging.utils import canonicalize_name

from rbee.builtin.python_workers.asking import FoundPlugin, FoundPlugins, plugins_of
from rbee.builtin.python_workers.environments import InstalledEnvironment
from rbee.contract.errors import PluginError
from rbee.contract.types import EngineInfo
from rbee.contract.worker_vendor import WorkerOffer

_AT_ONCE = 4


def engines_of(plugin: FoundPlugin) -> tuple[str, ...]:
    """Names of the engines that a plugin brings."""
    return plugin.registered.get("engine", ())


def owners(found: FoundPlugins) -> dict[str, str]:
    """By engine, the distribution that brings it."""
    return {
        engine: canonicalize_name(plugin.distribution)
        for plugin in found.plugins
        for engine in engines_of(plugin)
        if plugin.distribution is not None
    }


def is_installed(engine: EngineInfo) -> bool:
    """A library that is there and cannot be used here is installed all the same: more of it does not help."""
    return engine.available or engine.version is not None


def offer_of(
    engine: EngineInfo,
    vendor: str,
    *,
    installed: bool,
    origin: str | None,
    package: str | None,
    summary: str | None = None,
) -> WorkerOffer:
    """An engine as it is offered."""
    return WorkerOffer(
        worker=engine.name,
        vendor=vendor,
        installed=installed,
        available=engine.available,
        reason=engine.reason,
        version=engine.version,
        formats=engine.formats,
        backends=engine.backends,
        summary=summary,
        origin=origin,
        package=package,
        options=engine.options,
        note=engine.note,
    )


def offers_beside(installed: Sequence[InstalledEnvironment], vendor: str) -> Iterator[WorkerOffer]:
    """What is in the environments, as each says now; they are asked at the same time."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for one, engines in zip(installed, threads.map(_told_now, installed), strict=True):
            for engine in engines:
                yield offer_of(engine, vendor, installed=True, origin=str(one.folder), package=one.package)


def _told_now(one: InstalledEnvironment) -> tuple[EngineInfo, ...]:
    environment = one.environment
    if environment.reason is not None:
        return environment.unusable(environment.reason)
    try:
        return environment.own(plugins_of(environment.python).engines)
    except PluginError as error:
        return environment.unusable(error.message)
