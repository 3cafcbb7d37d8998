"""Running one program by itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable

from rbee.cli.context import Context
from rbee.cli.hosting.ends import Ends
from rbee.cli.hosting.parts import Parts
from rbee.cli.locate import expected_registry_url, usual_queen_url
from rbee.cli.programs import ProgramFiles, ProgramName, ProgramRecord

log = logging.getLogger(__name__)


async def host_program(
    context: Context, program: ProgramName, on_ready: Callable[[ProgramRecord], None], *, detached: bool
) -> signal.Signals | None:
    """Run the registry, the queen or the hive until told to stop.

    Args:
        context: of the command.
        program: which one.
        on_ready: called once it answers.
        detached: it runs in the background and writes to its log.

    Returns:
        The signal that ended it, None when it was asked to.

    Raises:
        ConflictError: this home has one that runs.
        PortTakenError, ConfigurationError: as their names say.
    """
    context.folders.make()
    files = ProgramFiles(context.folders, program)
    files.claim()
    try:
        return await _host(context, files, on_ready, detached=detached)
    finally:
        files.record.unlink(missing_ok=True)


async def _host(
    context: Context, files: ProgramFiles, on_ready: Callable[[ProgramRecord], None], *, detached: bool
) -> signal.Signals | None:
    ends = Ends()
    ends.watch()
    async with contextlib.AsyncExitStack() as stack:
        parts = Parts(context, stack, ends)
        place = parts.listen(files.program)
        registry_url = expected_registry_url(context)
        asked: list[asyncio.Event] = []
        if files.program == "registry":
            await parts.registry(place)
        elif files.program == "queen":
            asked = [(await parts.queen(place, registry_url)).shutdown_asked]
        else:
            hive = await parts.hive(place, context.settings.queen.url, registry_url)
            usual = usual_queen_url(context)
            if usual is not None:
                # Where nothing else is said of her, she may be on this machine, now or later.
                hive.introduce_queen(usual)
            asked = [hive.shutdown_asked]
        record = ProgramRecord(
            program=files.program,
            pid=os.getpid(),
            url=place.near,
            public_url=place.url,
            started_at=time.time(),
            detached=detached,
        )
        files.write(record)
        on_ready(record)
        await ends.wait(*asked)
        # From here on nobody finds it any more.
        files.record.unlink(missing_ok=True)
        log.info("stopping")
        await parts.drain()
    return ends.number
