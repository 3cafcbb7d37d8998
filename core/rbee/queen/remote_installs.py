"""Installing rbee on the machine of a hive, and going back when the new one does not come up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from rbee.contract.errors import RbeeError, UnavailableError
from rbee.contract.wire import HiveInstall, JobEvent, RemoteHive
from rbee.jobs import Narrator
from rbee.queen.remote_hive import AtWork, Wanted, to_its_end
from rbee.queen.remote_joining import RemoteJoining
from rbee.remote.bundle import Bundle, opened
from rbee.remote.bundling import described, wheelhouse
from rbee.remote.installing import Installing, Progress, Source, Tool, failed
from rbee.remote.program import python_here

_BACK_S = 60.0
_DRAIN_S = 30.0


class RunOnHive(Protocol):
    """What is needed of `rbee.queen.hives.Hives.run`."""

    async def __call__(
        self, hive_id: str, operation: str, fields: Mapping[str, Any], tell: Callable[[JobEvent], None], /
    ) -> dict[str, Any]:
        """Run a job on a hive to its end."""


class _Choice(msgspec.Struct, frozen=True, kw_only=True):
    bundle: Bundle
    tool: Tool
    source: Source


class RemoteInstalls:
    """Brings what the queen's machine runs to others.

    Args:
        cache: folder for wheels on the queen's machine.
        joining: lets machines join.
        run: has a hive carry out an operation.
    """

    def __init__(self, cache: Path, joining: RemoteJoining, run: RunOnHive) -> None:
        self._cache = cache
        self._joining = joining
        self._run = run
        self._packing = asyncio.Lock()

    async def install(
        self, hive: AtWork, wanted: HiveInstall, settings: Callable[[], Awaitable[Wanted]], say: Narrator
    ) -> RemoteHive:
        """Install, let join, switch, start; harmless when all of it is so already.

        Args:
            hive: where.
            wanted: what.
            settings: under which it is run; a tunnel may have to be opened before that is known.
            say: the voice of the job.

        Raises:
            RbeeError: the step, the machine, the cause and the remedy; the machine is as it was.
        """
        self._joining.check(hive.name)
        found = hive.found
        progress = Progress(say=hive.say, sent=lambda done, total: say.progress("sending", done, total))
        installing = Installing(hive.host, found, progress)
        async with self._chosen(hive, installing, wanted) as choice:
            if wanted.dry_run:
                return hive.planned(*_plan(hive, choice))
            done = await self._install(hive, wanted, await settings(), installing, choice)
            if choice.bundle.manifest.of("model"):
                await self._bring_models(hive, choice.bundle, installing, say)
            return done

    async def _install(
        self, hive: AtWork, wanted: HiveInstall, settings: Wanted, installing: Installing, choice: _Choice
    ) -> RemoteHive:
        found, environment = hive.found, choice.bundle.manifest.environment
        fresh = await installing.install(choice.bundle, choice.tool, choice.source)
        before = found.current
        running = (await hive.keeper.state()).running
        try:
            joined = await self._joining.join(hive, environment, settings.queen_url)
            if not fresh and not joined and before == environment and running and hive.instance is not None:
                hive.say(f"Hive {hive.name} runs {environment} already")
                return await hive.told(environment=environment, previous=found.previous, changed=False)
            if running:
                await hive.stop(_DRAIN_S)
            await installing.switch(environment)
            await hive.start(settings.settings, wanted.within_s)
        except BaseException as error:
            await to_its_end(self._back(hive, installing, environment, settings, running=running, fresh=fresh))
            if isinstance(error, RbeeError):
                now = f"goes on with {before}" if before is not None and running else "is as it was"
                raise type(error)(f"{error.message} {hive.host.name} {now}.", details=error.details) from error
            raise
        previous = before if before != environment else found.previous
        await installing.tidy([environment, *([previous] if previous is not None else [])])
        told = await hive.told(environment=environment, previous=previous, changed=True)
        return msgspec.structs.replace(told, source=choice.source if fresh else None)

    async def _bring_models(self, hive: AtWork, bundle: Bundle, installing: Installing, say: Narrator) -> None:
        """Send the models of a bundle and have the hive take them where they lie."""
        for model, path in (await installing.send_models(bundle)).items():
            hive.say(f"Taking model {model} on {hive.host.name}")
            await self._run(hive.name, "model_download", {"model": str(path)}, say.relay)

    async def _back(
        self, hive: AtWork, installing: Installing, environment: str, settings: Wanted, *, running: bool, fresh: bool
    ) -> None:
        """Make all as it was before; what cannot be is left, and said."""
        found = hive.found
        try:
            if hive.touched:
                await hive.keeper.stop(_BACK_S)
            await installing.back(found.current, found.previous)
            if fresh and environment != found.current:
                await installing.drop(environment)
            if not found.there:
                await hive.keeper.forget()
                await installing.clear()
            elif found.current is not None and running and hive.touched:
                hive.say(f"Going back to {found.current} on {hive.host.name}")
                await hive.start(settings.settings, _BACK_S)
        except RbeeError as error:
            hive.say(f"Going back on {hive.host.name} failed too: {error.message}")

    @contextlib.asynccontextmanager
    async def _chosen(self, hive: AtWork, installing: Installing, wanted: HiveInstall) -> AsyncGenerator[_Choice]:
        """What is installed, by what, and from where."""
        if wanted.bundle is not None:
            async with _opened(Path(wanted.bundle), self._cache) as bundle:
                if bundle.manifest.platform != hive.found.platform:
                    raise failed(
                        "Choosing wheels",
                        hive.host,
                        f"the bundle is for {bundle.manifest.platform}, and the machine is {hive.found.platform}",
                        f"Make one for it: rbee bundle build --platform {hive.found.platform}",
                    )
                source: Source = "index" if wanted.source == "index" else "wheelhouse"
                yield _Choice(bundle=bundle, tool=self._tool(hive, installing, bundle, source), source=source)
            return
        if wanted.source != "wheelhouse":
            bundle = await self._pack(lambda: described(self._cache, wanted.plugins))
            if wanted.source == "index" or await installing.reaches_index(bundle):
                yield _Choice(bundle=bundle, tool=self._tool(hive, installing, bundle, "index"), source="index")
                return
            hive.say(f"{hive.host.name} reaches no package index; wheels are sent")
        python = self._python(hive)
        bundle = await self._pack(
            lambda: wheelhouse(self._cache, wanted.plugins, platform=hive.found.platform, python=python)
        )
        yield _Choice(bundle=bundle, tool=self._tool(hive, installing, bundle, "wheelhouse"), source="wheelhouse")

    def _python(self, hive: AtWork) -> str:
        """For which Python wheels are to be: this one where it is there, else the machine's newest."""
        versions = [one.version for one in hive.found.pythons]
        if not versions:
            raise _no_python(hive)
        return python_here() if python_here() in versions else versions[0]

    def _tool(self, hive: AtWork, installing: Installing, bundle: Bundle, source: Source) -> Tool:
        tool = installing.tool(bundle, index=source == "index")
        if tool is None:
            raise _no_python(hive, bundle.manifest.python)
        return tool

    async def _pack(self, make: Callable[[], Bundle]) -> Bundle:
        # One at a time: many machines are mostly to have the same, and the second finds it made.
        async with self._packing:
            return await asyncio.to_thread(make)


def _no_python(hive: AtWork, version: str | None = None) -> RbeeError:
    wanted = "3.11 or later" if version is None else version
    there = ", ".join(sorted({one.version for one in hive.found.pythons}))
    return failed(
        "Choosing a Python",
        hive.host,
        f"there is no Python {wanted} with its standard library{f' (there is {there})' if there else ''}, and no "
        "package index that uv could bring one from",
        "Install Python 3.11 or later there, with its venv module, or let the machine reach a package index",
        UnavailableError,
    )


def _plan(hive: AtWork, choice: _Choice) -> list[str]:
    manifest = choice.bundle.manifest
    where, found = hive.host.name, hive.found
    if manifest.environment == found.current:
        return [f"{where} has {manifest.environment} already; its hive would be started if it does not run"]
    plan = []
    if manifest.environment not in found.environments:
        by = "uv" if choice.tool.uv is not None else "pip"
        origin = "its package index" if choice.source == "index" else f"{len(manifest.of('wheel'))} wheels, sent to it"
        plan.append(
            f"rbee {manifest.version} with {len(manifest.packages) - 1} packages would be installed on {where} by {by} "
            f"for Python {choice.tool.version}, from {origin}, below '{found.layout.root}'"
        )
    if not found.joined:
        plan.append(f"{where} would join the colony as hive {hive.name}")
    before = "" if found.current is None else f", in the place of {found.current}, which is kept for the way back"
    plan.append(f"{manifest.environment} would be started by {hive.keeper.kind}{before}")
    return plan


@contextlib.asynccontextmanager
async def _opened(path: Path, scratch: Path) -> AsyncGenerator[Bundle]:
    """`opened`, beside the event loop: large files are read."""
    with contextlib.ExitStack() as stack:
        yield await asyncio.to_thread(lambda: stack.enter_context(opened(path, scratch)))
