"""Running a program in this process: its log, its report to whoever started it detached, its exit code."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from rbee.cli.context import Context
from rbee.cli.detached import StartReport, report
from rbee.cli.exits import INTERRUPTED, OK
from rbee.contract.errors import RbeeError
from rbee.eventloop import fast_loop as make_fast_loop
from rbee.eventloop import settle_memory
from rbee.logs import Rotation, configure_logging

R = TypeVar("R")


def run_program(
    context: Context,
    host: Callable[[Callable[[R], None]], Coroutine[Any, Any, signal.Signals | None]],
    announce: Callable[[R], None],
    report_fd: int | None,
    log: Path,
    what: str,
    *,
    fast_loop: bool = False,
) -> int:
    """Run a program to its end; returns the exit code.

    Args:
        context: of the command.
        host: runs it; calls what it is given once the program answers.
        announce: tells a person where it listens; not called when somebody started it detached.
        report_fd: where to tell who started it detached.
        log: where its output goes then; kept within bounds by the program itself.
        what: who that is, for messages: "The colony".
        fast_loop: run on uvloop where there is one: twice the requests a second, and no sending of files uncopied.
    """

    def ready(record: R) -> None:
        if fast_loop:
            settle_memory()
        if report_fd is not None:
            report(report_fd, StartReport())
        else:
            announce(record)

    detached = report_fd is not None
    try:
        _configure_logging(context, detached=detached)
        with asyncio.Runner(loop_factory=make_fast_loop() if fast_loop else None) as runner:
            ended_by = runner.run(_keeping(context, log, host(ready)) if detached else host(ready))
    except RbeeError as error:
        report(report_fd, StartReport(code=error.code, message=error.message))
        raise
    except Exception as error:
        told = f"{what} failed while it started: {error}. Its log: '{log}'"
        report(report_fd, StartReport(code=RbeeError.code, message=told))
        raise
    return INTERRUPTED if ended_by is signal.SIGINT else OK


async def _keeping(
    context: Context, log: Path, running: Coroutine[Any, Any, signal.Signals | None]
) -> signal.Signals | None:
    """Run a program that writes into a file, and keep that file within bounds meanwhile."""
    server = context.settings.server
    rotation = Rotation(max_mb=server.log_max_mb, files=server.log_files)
    keeping = asyncio.create_task(rotation.keep(log), name="the program's log")
    try:
        return await running
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


def _configure_logging(context: Context, *, detached: bool) -> None:
    level = context.settings.server.log_level.upper()
    # In the foreground the terminal is for people: requests by the hundred would hide what matters.
    if not detached and level == "INFO":
        level = "WARNING"
    configure_logging(level)
