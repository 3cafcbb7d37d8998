"""Running registry, queen and hive in one process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rbee.cli.colony import ColonyFiles, ColonyRecord
from rbee.cli.context import Context
from rbee.cli.hosting.ends import Ends
from rbee.cli.hosting.parts import Parts
from rbee.cli.programs import PROGRAMS, ProgramFiles, ProgramRecord
from rbee.contract.errors import ConfigurationError, ConflictError, UnreachableError

if TYPE_CHECKING:
    from rbee.hive import HiveService
    from rbee.queen import QueenService

log = logging.getLogger(__name__)

_HIVE_S = 15.0
_LIFE_S = 0.3
_USERS_POLL_S = 0.1


async def host_colony(
    context: Context, *, while_used: bool, detached: bool, on_ready: Callable[[ColonyRecord], None]
) -> signal.Signals | None:
    """Run until told to stop.

    Args:
        context: of the command.
        while_used: take free ports and end when nobody uses the colony.
        detached: it runs in the background and writes to its log.
        on_ready: called once everything answers.

    Returns:
        The signal that ended it, None when it was asked to.

    Raises:
        ConflictError: a colony of this home runs already.
        PortTakenError, ConfigurationError: as their names say.
    """
    context.folders.make()
    files = ColonyFiles(context.folders)
    # Not at the first failure: who only looks whether a colony runs holds the lock for an instant.
    if not files.life.exclusive(_LIFE_S):
        raise ConflictError(already_running(files))
    try:
        # Left by one that was killed: while this one starts, it would pass for this one's.
        files.record.unlink(missing_ok=True)
        return await _host(context, files, while_used=while_used, detached=detached, on_ready=on_ready)
    finally:
        # The lock itself goes with the process: who sees it free knows that the process is gone.
        files.record.unlink(missing_ok=True)


def already_running(files: ColonyFiles) -> str:
    """The sentence for a second ``rbee up``."""
    record = files.read()
    if record is None:
        return "A colony is starting or stopping in this home; try again in a moment."
    return f"A colony is running already: process {record.pid}, API at {record.queen_url}/v1. Stop it: rbee down"


async def _host(
    context: Context,
    files: ColonyFiles,
    *,
    while_used: bool,
    detached: bool,
    on_ready: Callable[[ColonyRecord], None],
) -> signal.Signals | None:
    ends = Ends()
    ends.watch()
    async with contextlib.AsyncExitStack() as stack:
        programs = _claim(context, stack)
        _refuse_equal_ports(context, free=while_used)
        parts = Parts(context, stack, ends)
        # All of them before anything starts: a taken port is told at once.
        places = {program: parts.listen(program, free=while_used) for program in PROGRAMS}
        near = {program: place.near for program, place in places.items()}
        await parts.registry(places["registry"])
        queen = await parts.queen(places["queen"], near["registry"])
        hive = await parts.hive(places["hive"], near["queen"], near["registry"])
        try:
            async with asyncio.timeout(_HIVE_S):
                await queen.first_hive()
        except TimeoutError as error:
            raise UnreachableError(f"The hive did not report to the queen within {_HIVE_S:.0f} s.") from error
        record = ColonyRecord(
            pid=os.getpid(),
            registry_url=near["registry"],
            queen_url=near["queen"],
            hive_url=near["hive"],
            started_at=time.time(),
            while_used=while_used,
            ollama_url=parts.ollama_url,
            public_url=places["queen"].url,
        )
        files.keep.unlink(missing_ok=True)
        files.write(record)
        for one in programs:
            one.write(
                ProgramRecord(
                    program=one.program,
                    pid=record.pid,
                    url=near[one.program],
                    public_url=places[one.program].url,
                    started_at=record.started_at,
                    colony=True,
                    detached=detached,
                )
            )
        on_ready(record)
        unused = await _until_over(files, ends, queen, hive, while_used=while_used)
        # From here on nobody finds it any more.
        files.record.unlink(missing_ok=True)
        for one in programs:
            one.record.unlink(missing_ok=True)
        if unused:
            # Whoever asked is gone, by accident perhaps: workers need not finish what nobody reads.
            await queen.jobs.cancel_all()
        log.info("stopping")
        if not unused:
            await parts.drain()
    return ends.number


def _claim(context: Context, stack: contextlib.AsyncExitStack) -> list[ProgramFiles]:
    """The names of all three programs in this home, so that none is run a second time beside the colony."""
    claimed = []
    for program in PROGRAMS:
        files = ProgramFiles(context.folders, program)
        files.claim()
        stack.callback(files.disclaim)
        claimed.append(files)
    return claimed


async def _until_over(
    files: ColonyFiles, ends: Ends, queen: QueenService, hive: HiveService, *, while_used: bool
) -> bool:
    """Wait for whatever ends the colony; True when it is that nobody uses it."""
    asked = asyncio.create_task(ends.wait(queen.shutdown_asked, hive.shutdown_asked))
    waiting: list[asyncio.Task[None]] = [asked]
    if while_used:
        waiting.append(asyncio.create_task(_until_unused(files)))
    try:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        return asked not in done
    finally:
        for task in waiting:
            task.cancel()


async def _until_unused(files: ColonyFiles) -> None:
    """Return when nobody shares the lock of users; never when the colony is to be kept."""
    while not files.users.try_exclusive():
        await asyncio.sleep(_USERS_POLL_S)
        if files.keep.exists():
            files.keep.unlink(missing_ok=True)
            files.mark_kept()
            await asyncio.Event().wait()


def _refuse_equal_ports(context: Context, *, free: bool) -> None:
    settings = context.settings
    queen = settings.queen
    chosen = [port for port in (settings.registry.port, queen.port, settings.hive.port, queen.ollama_port) if port]
    if not free and len(set(chosen)) < len(chosen):
        names = "registry.port, queen.port and hive.port"
        if queen.ollama_port:
            names = "registry.port, queen.port, hive.port and queen.ollama_port"
        raise ConfigurationError(f"{names} must differ: {', '.join(map(str, chosen))}.")
