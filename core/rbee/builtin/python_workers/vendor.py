"""The worker vendor `python`: engines of installed plugins, and those that the extras of rbee would bring."""

from __future__ import annotations

import importlib
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, metadata
from typing import ClassVar

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from rbee.builtin.python_workers.installer import install_command, run, uninstall_command
from rbee.contract.errors import NotFoundError, PluginError
from rbee.contract.types import EngineInfo
from rbee.contract.vendor import CancelToken, FetchProgress
from rbee.contract.worker_vendor import WorkerOffer, WorkerVendor

ENGINE_EXTRA = "engine"
"""By custom, the extra of a plugin that brings its inference library."""

_LIST_S = 60.0


class _Plugin(msgspec.Struct, frozen=True):
    name: str
    distribution: str | None
    registered: dict[str, tuple[str, ...]] = {}


class _Installed(msgspec.Struct, frozen=True):
    """What ``python -m rbee.plugins`` tells."""

    plugins: tuple[_Plugin, ...]
    engines: tuple[EngineInfo, ...]


class _Source(msgspec.Struct, frozen=True):
    """An engine, the distribution that brings it, and what to install for it."""

    offer: WorkerOffer
    distribution: str | None
    requirement: str | None


class PythonWorkerVendor(WorkerVendor):
    """Engines as Python packages in the environment of this program.

    Attributes:
        distribution: whose extras name the engines that could be had.
        python: interpreter of the environment.
    """

    name = "python"
    distribution: ClassVar[str] = "rbee"
    python: ClassVar[str] = sys.executable

    def catalog(self) -> Sequence[WorkerOffer]:
        """Installed engines, and one for each extra that brings an engine and is not installed."""
        return tuple(source.offer for source in self._sources())

    def install(
        self, offer: WorkerOffer, say: Callable[[str], None], progress: FetchProgress, cancel: CancelToken
    ) -> None:
        """Install the plugin with its library, by the environment's own installer."""
        source = self._source(offer)
        if source.requirement is None:
            raise NotFoundError(f"What brings the worker {offer.worker!r} is not a package that can be installed.")
        command = install_command(self.python, source.requirement)
        say(f"Running {shlex.join(command)}")
        run(command, say, cancel)

    def remove(self, offer: WorkerOffer, say: Callable[[str], None], cancel: CancelToken) -> None:
        """Take the plugin out; libraries that it used stay, since others may use them."""
        source = self._source(offer)
        if source.distribution is None or source.distribution == self.distribution:
            raise NotFoundError(f"The worker {offer.worker!r} is part of rbee itself and cannot be removed.")
        if not source.offer.installed:
            raise NotFoundError(f"The worker {offer.worker!r} is not installed.")
        libraries = _libraries(source.distribution)
        command = uninstall_command(self.python, source.distribution)
        say(f"Running {shlex.join(command)}")
        run(command, say, cancel)
        if libraries:
            more = [*uninstall_command(self.python, libraries[0]), *libraries[1:]]
            say(f"Its libraries stay, since others may use them. To remove them too: {shlex.join(more)}")

    def _source(self, offer: WorkerOffer) -> _Source:
        for source in self._sources():
            if source.offer.worker == offer.worker:
                return source
        raise NotFoundError(f"There is no worker {offer.worker!r} any more.")

    def _sources(self) -> Iterator[_Source]:
        importlib.invalidate_caches()
        extras = _engine_extras(self.distribution)
        found = self._installed()
        owners = {
            engine: canonicalize_name(plugin.distribution)
            for plugin in found.plugins
            for engine in plugin.registered.get("engine", ())
            if plugin.distribution is not None
        }
        for engine in found.engines:
            owner = owners.get(engine.name)
            offer = WorkerOffer(
                worker=engine.name,
                vendor=self.name,
                # A library that is there and cannot be used here is installed all the same: more of it does not help.
                installed=engine.available or engine.version is not None,
                available=engine.available,
                reason=engine.reason,
                version=engine.version,
                formats=engine.formats,
                backends=engine.backends,
                summary=None if owner is None else _summary(owner),
            )
            requirement = None if owner is None else extras[owner][0] if owner in extras else _with_engine(owner)
            yield _Source(offer, owner, requirement)
        for distribution, (requirement, names) in extras.items():
            if distribution in owners.values():
                continue
            worker = next((name for name in names if distribution.endswith(f"-{name}")), names[0])
            aliases = tuple(name for name in names if name != worker)
            summary = f"brought by the package {distribution}"
            offer = WorkerOffer(worker=worker, vendor=self.name, installed=False, formats=aliases, summary=summary)
            yield _Source(offer, distribution, requirement)

    def _installed(self) -> _Installed:
        command = [self.python, "-m", "rbee.plugins"]
        try:
            told = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIST_S, check=True
            ).stdout
            return msgspec.json.decode(told, type=_Installed)
        except (subprocess.SubprocessError, OSError, msgspec.DecodeError) as error:
            raise PluginError(
                f"The installed plugins cannot be listed: {error}. To see why: {shlex.join(command)}"
            ) from error


def _engine_extras(distribution: str) -> Mapping[str, tuple[str, list[str]]]:
    """Extras that bring one engine each: by the plugin's distribution, its requirement and the names of the extras.

    No engine is known by name here: an extra that asks for nothing but one plugin with its library brings an engine.
    """
    by_extra: dict[str, list[Requirement]] = {}
    try:
        found = metadata(distribution)
    except PackageNotFoundError:
        return {}
    names = found.get_all("Provides-Extra") or []
    for line in found.get_all("Requires-Dist") or []:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        for extra in names:
            marker = requirement.marker
            if marker is not None and not marker.evaluate({"extra": ""}) and marker.evaluate({"extra": extra}):
                by_extra.setdefault(extra, []).append(requirement)
    engines: dict[str, tuple[str, list[str]]] = {}
    for extra in sorted(by_extra):
        wanted = by_extra[extra]
        if len(wanted) == 1 and ENGINE_EXTRA in wanted[0].extras:
            plugin = canonicalize_name(wanted[0].name)
            text = f"{wanted[0].name}[{','.join(sorted(wanted[0].extras))}]{wanted[0].specifier}"
            engines.setdefault(plugin, (text, []))[1].append(extra)
    return engines


def _with_engine(distribution: str) -> str:
    try:
        extras = metadata(distribution).get_all("Provides-Extra") or []
    except PackageNotFoundError:
        return distribution
    return f"{distribution}[{ENGINE_EXTRA}]" if ENGINE_EXTRA in extras else distribution


def _summary(distribution: str) -> str | None:
    try:
        return metadata(distribution)["Summary"]
    except (PackageNotFoundError, KeyError):
        return None


def _libraries(distribution: str) -> list[str]:
    """What the extra `engine` of a plugin has brought, by name."""
    try:
        lines = metadata(distribution).get_all("Requires-Dist") or []
    except PackageNotFoundError:
        return []
    wanted = [Requirement(line) for line in lines]
    return sorted(
        {
            one.name
            for one in wanted
            if one.marker is not None
            and one.marker.evaluate({"extra": ENGINE_EXTRA})
            and not one.marker.evaluate({"extra": ""})
        }
    )
