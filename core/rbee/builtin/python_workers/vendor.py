"""The worker vendor `python`: engines as Python packages, each in a virtual environment of its own."""

from __future__ import annotations

import importlib
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rbee.builtin.python_workers import environments
from rbee.builtin.python_workers.asking import FoundPlugins, plugins_of
from rbee.builtin.python_workers.environments import EngineRecord, InstalledEnvironment
from rbee.builtin.python_workers.installer import compile_command, find_uv, install_command, run, venv_command
from rbee.builtin.python_workers.offers import engines_of, is_installed, offer_of, offers_beside, owners
from rbee.builtin.python_workers.requirements import (
    WITHOUT_CORE,
    constraints,
    engine_extras,
    libraries,
    plain_requirement,
    summary_of,
    to_fetch,
    with_engine,
)
from rbee.contract.errors import ConfigurationError, ConflictError, NotFoundError, PluginError
from rbee.contract.types import EngineInfo
from rbee.contract.vendor import CancelToken, FetchProgress
from rbee.contract.worker_vendor import EngineEnvironment, WorkerOffer, WorkerVendor


class PythonWorkerVendor(WorkerVendor):
    """Engines as Python packages: those in rbee's own environment, and those it installs beside it.

    It never changes rbee's own environment.  An engine that it installs gets a folder with a virtual environment of
    its own, which sees rbee's packages behind its own, and a file with the versions and hashes of all that is in it.

    Attributes:
        distribution: whose extras name the engines that could be had.
        python: interpreter of rbee's own environment.
        home: folder for engines; None until `keep_in` tells it.
    """

    name = "python"
    distribution: ClassVar[str] = "rbee"
    python: ClassVar[str] = sys.executable
    home: Path | None = None

    def keep_in(self, folder: Path) -> None:
        """Keep engines in a folder of this vendor's own there: what others keep beside it is none of ours."""
        self.home = folder / self.name

    def catalog(self) -> Sequence[WorkerOffer]:
        """Installed engines, and one for each extra that brings an engine and is not installed."""
        importlib.invalidate_caches()
        found, beside = plugins_of(self.python), self._installed()
        offers = {offer.worker: offer for offer in self._own_offers(found)}
        for offer in offers_beside(beside, self.name):
            present = offers.get(offer.worker)
            # As the hive chooses: what can be used in rbee's own environment comes first.
            if present is None or not present.available:
                offers[offer.worker] = offer
        there = {*owners(found).values(), *(_name(Requirement(one.package)) for one in beside if one.package)}
        for distribution, (requirement, names) in engine_extras(self.distribution).items():
            worker = next((name for name in names if distribution.endswith(f"-{name}")), names[0])
            if distribution in there or worker in offers:
                continue
            offers[worker] = WorkerOffer(
                worker=worker,
                vendor=self.name,
                installed=False,
                formats=tuple(name for name in names if name != worker),
                summary=f"brought by the package {distribution}",
                package=requirement,
            )
        return tuple(offers.values())

    def environments(self) -> Sequence[EngineEnvironment]:
        """Those that it has made; each is led to where rbee is now."""
        return [environments.linked(one) for one in self._installed()]

    def offer(self, worker: str, package: str) -> WorkerOffer | None:
        """Any package of an index.

        Raises:
            InvalidRequestError: it is not named plainly, or the engine's name is none.
        """
        wanted = plain_requirement(package)
        return WorkerOffer(
            worker=environments.checked_name(worker), vendor=self.name, installed=False, package=str(wanted)
        )

    def install(
        self, offer: WorkerOffer, say: Callable[[str], None], progress: FetchProgress, cancel: CancelToken
    ) -> None:
        """Make an environment, settle versions and hashes, install exactly those, and see that the engine is there."""
        cancel.raise_if_cancelled()
        if offer.package is None:
            raise NotFoundError(
                f"What the worker {offer.worker!r} lacks is no package that could be installed here"
                + (f": {offer.reason}." if offer.reason else ".")
            )
        wanted = plain_requirement(offer.package)
        uv = find_uv(self.python)
        root = self._root()
        environments.sweep(root)
        if any(offer.worker == engine.name for one in self._installed() for engine in one.environment.engines):
            return
        build = environments.begin(root, offer.worker)
        try:
            self._fill(build, uv, wanted, say, cancel)
            engines = self._brought(build, offer.worker, wanted, cancel)
            environments.publish(
                build,
                EngineRecord(
                    package=str(wanted),
                    build=build.name,
                    python=environments.running_python(),
                    engines=engines,
                    installed_at=datetime.now(UTC),
                ),
            )
        except BaseException:
            shutil.rmtree(build, ignore_errors=True)
            environments.sweep(root)
            raise

    def remove(self, offer: WorkerOffer, say: Callable[[str], None], cancel: CancelToken) -> None:
        """Delete the engine's environment; what is in rbee's own is left to whoever put it there."""
        cancel.raise_if_cancelled()
        for one in self._installed():
            names = [engine.name for engine in one.environment.engines]
            if offer.worker in names:
                also = [name for name in names if name != offer.worker]
                say(f"Deleting '{one.folder}'" + (f", and with it {', '.join(also)}" if also else ""))
                environments.remove(one.folder)
                environments.sweep(self._root())
                return
        found = plugins_of(self.python)
        owner = owners(found).get(offer.worker)
        if owner == self.distribution:
            raise NotFoundError(f"The worker {offer.worker!r} is part of rbee itself and cannot be removed.")
        if owner is None or not any(is_installed(one) for one in found.engines if one.name == offer.worker):
            raise NotFoundError(f"The worker {offer.worker!r} is not installed.")
        command = ["uv", "pip", "uninstall", "--python", self.python, owner, *libraries(owner)]
        raise ConflictError(
            f"The worker {offer.worker!r} is part of rbee's own environment, which is not changed from here; "
            f"remove it with: {shlex.join(command)}"
        )

    def _root(self) -> Path:
        if self.home is None:
            raise ConfigurationError("Nobody has said where engines are to be kept; let a hive install them.")
        return self.home

    def _installed(self) -> list[InstalledEnvironment]:
        return [] if self.home is None else list(environments.installed(self.home))

    def _own_offers(self, found: FoundPlugins) -> Iterator[WorkerOffer]:
        found_by = owners(found)
        extras = engine_extras(self.distribution)
        # A plugin with a worker vendor of its own tells of its engines by that.
        told = {one for plugin in found.plugins if plugin.registered.get("worker_vendor") for one in engines_of(plugin)}
        for engine in found.engines:
            if engine.name in told:
                continue
            owner = found_by.get(engine.name)
            here = is_installed(engine)
            package = None if owner is None else extras[owner][0] if owner in extras else with_engine(owner)
            yield offer_of(
                engine,
                self.name,
                installed=here,
                summary=None if owner is None else summary_of(owner),
                origin=f"{owner or 'rbee'} in rbee's own environment" if here else None,
                package=package,
            )

    def _fill(self, build: Path, uv: str, wanted: Requirement, say: Callable[[str], None], cancel: CancelToken) -> None:
        """Put packages into a new environment."""
        python, requirements = environments.interpreter(build), build / environments.REQUIREMENTS
        fetched = to_fetch(wanted)
        inputs = {
            "wanted.txt": "".join(f"{one}\n" for one in fetched),
            "overrides.txt": WITHOUT_CORE,
            "constraints.txt": constraints(self.distribution),
        }
        for name, text in inputs.items():
            (build / name).write_text(text, encoding="utf-8")
        by_hand = [uv, "pip", "install", "--dry-run", "--no-deps", "--python", self.python, *fetched]
        say(f"Making an environment for {wanted}")
        run(venv_command(uv, self.python, python.parents[1]), say, cancel, folder=build)
        say(f"Settling versions of {', '.join(fetched)}")
        asked, overrides, bounds = (build / name for name in inputs)
        settle = compile_command(uv, python, asked, overrides, bounds, requirements)
        run(settle, say, cancel, folder=build, by_hand=by_hand)
        say(f"Installing {', '.join(_pinned(build))}")
        run(install_command(uv, python, requirements), say, cancel, folder=build, by_hand=by_hand)
        environments.link(build)

    def _brought(self, build: Path, worker: str, wanted: Requirement, cancel: CancelToken) -> tuple[EngineInfo, ...]:
        """The engines of a new environment.

        Raises:
            PluginError: it does not bring the one that was asked for.
        """
        found = plugins_of(str(environments.interpreter(build)), cancel)
        put = {_name(wanted), *(_name(Requirement(one)) for one in _pinned(build))}
        mine = [one for one in found.plugins if canonicalize_name(one.distribution or "") in put]
        names = {name for one in mine for name in engines_of(one)}
        if worker not in names:
            failed = "; ".join(f"{one.name!r} failed to load: {one.error}" for one in mine if one.status == "failed")
            skipped = any(one.status == "skipped" for one in mine)
            why = failed or ("RBEE_PLUGINS leaves it out" if skipped else "")
            brings = f"the engines {', '.join(sorted(names))}, and no" if names else "no engine"
            raise PluginError(
                f"The package {wanted.name!r} brings {brings} {worker!r}"
                + (f": {why}." if why else f". Install it by the name of one: {min(names)}." if names else ".")
            )
        return tuple(engine for engine in found.engines if engine.name in names)


def _name(wanted: Requirement) -> str:
    return canonicalize_name(wanted.name)


def _pinned(build: Path) -> list[str]:
    """Names and versions of all that a build's file of requirements settles."""
    lines = (build / environments.REQUIREMENTS).read_text(encoding="utf-8").splitlines()
    return [line.split()[0] for line in lines if line[:1].isalnum()]
