"""What ``start``, ``stop`` and ``status`` do for each of the three programs."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any

import click
import msgspec

from rbee.cli import detached
from rbee.cli.console import say
from rbee.cli.context import Context
from rbee.cli.ending import end_process, patience_s
from rbee.cli.exits import NOT_RUNNING, OK, NotRunningError
from rbee.cli.foreground import run_program
from rbee.cli.format import duration
from rbee.cli.locate import expected_registry_url
from rbee.cli.loop import run_async
from rbee.cli.programs import ProgramFiles, ProgramName, ProgramRecord
from rbee.clients import Credentials, HiveClient, Transport
from rbee.clients.who import SOME_HIVE, the_program
from rbee.contract.errors import ConflictError, UnreachableError

_HEALTH_S = 3.0


def start(context: Context, program: ProgramName, *, detach: bool, as_json: bool, report_fd: int | None) -> int:
    """Run a program by itself, here or in the background; returns the exit code.

    Raises:
        RbeeError: it did not come up, and why.
    """
    log = context.folders.logs / f"{program}.log"
    what = f"The {program}"
    if detach:
        context.folders.make()
        files = ProgramFiles(context.folders, program)
        files.claim()
        files.life.release()
        detached.start(context, [program, "start"], log, what)
        record = files.read()
        if record is None:
            raise UnreachableError(f"{what} ended as soon as it was up. Its log: '{log}'")
        _announce(context, record, as_json=as_json, in_background=True)
        return OK
    from rbee.cli.hosting import host_program

    def host(ready: Callable[[ProgramRecord], None]) -> Coroutine[Any, Any, signal.Signals | None]:
        return host_program(context, program, ready, detached=report_fd is not None)

    def announce(record: ProgramRecord) -> None:
        _announce(context, record, as_json=as_json, in_background=False)

    return run_program(context, host, announce, report_fd, log, what, fast_loop=program == "queen")


def stop(context: Context, program: ProgramName, *, as_json: bool, keep_workers: bool = False) -> None:
    """Stop the program that runs in this home; harmless when none does.

    Args:
        context: of the command.
        program: which one.
        as_json: print JSON.
        keep_workers: of a hive: leave its workers running.

    Raises:
        ConflictError: it is part of a colony, which `rbee down` stops.
        RbeeError: it does not stop.
    """
    record = end(context, program, keep_workers=keep_workers)
    if as_json:
        click.echo(msgspec.json.encode({"stopped_pid": None if record is None else record.pid}).decode())
        return
    say(f"No {program} was running." if record is None else f"The {program} (process {record.pid}) is stopped.")


def end(context: Context, program: ProgramName, *, keep_workers: bool = False) -> ProgramRecord | None:
    """Stop the program that runs in this home; returns its record, None when none ran.

    Args:
        context: of the command.
        program: which one.
        keep_workers: of a hive: leave its workers running.

    Raises:
        ConflictError: it is part of a colony, which `rbee down` stops.
        RbeeError: it does not stop.
    """
    files = ProgramFiles(context.folders, program)
    record = files.read()
    if record is None:
        return None
    if record.colony:
        raise ConflictError(
            f"The {program} is part of the colony of process {record.pid}, which stops as a whole: rbee down"
        )
    if keep_workers:
        # By a signal it would stop them.
        run_async(_ask_to_keep(record, context.credentials()))
    end_process(files, record.pid, f"The {program}", patience_s(context), asked=keep_workers)
    return record


def status(context: Context, program: ProgramName, *, as_json: bool) -> int:
    """Say whether the program of this home runs and answers; returns the exit code.

    Raises:
        NotRunningError: it does not run.
        RbeeError: it runs and does not answer.
    """
    context.check()
    record = ProgramFiles(context.folders, program).read()
    if record is None:
        if as_json:
            click.echo('{"running":false}')
            return NOT_RUNNING
        raise NotRunningError(f"No {program} is running in this home. Start one: rbee {program} start")
    health = run_async(_health(record, context.present_credentials()))
    if as_json:
        click.echo(msgspec.json.encode({"running": True, "record": record, "health": health}).decode())
        return OK
    part = "part of a colony, " if record.colony else ""
    click.echo(
        f"{program:<9} up {duration(int(time.time() - record.started_at))}, {part}process {record.pid}, "
        f"{record.url}, rbee {health.get('version')}"
    )
    return OK


async def _ask_to_keep(record: ProgramRecord, credentials: Credentials) -> None:
    transport = Transport(record.url, credentials, SOME_HIVE, timeout_s=_HEALTH_S)
    try:
        await HiveClient(transport).shutdown(keep_workers=True)
    finally:
        await transport.close()


async def _health(record: ProgramRecord, credentials: Credentials) -> dict[str, Any]:
    transport = Transport(record.url, credentials, the_program(record.program), timeout_s=_HEALTH_S)
    try:
        return await transport.call("GET", "/health", dict)
    finally:
        await transport.close()


def _queen_of(context: Context) -> str | None:
    """The queen whose colony this machine has joined; None where it has not."""
    try:
        return (context.folders.config / "identity" / "queen").read_text("utf-8").strip() or None
    except OSError:
        return None


def _announce(context: Context, record: ProgramRecord, *, as_json: bool, in_background: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(record).decode())
        return
    say(
        f"The {record.program} is up{' in the background' if in_background else ''} "
        f"(process {record.pid}): {record.url}"
    )
    if record.public_url not in {None, record.url}:
        say(f"  for other machines: {record.public_url}")
    if record.program != "registry":
        registry = expected_registry_url(context)
        say(f"  registry  {registry or 'none: set registry.url where there is one'}")
    if record.program == "queen":
        say(f"  OpenAI API: {record.url}/v1")
        if port := context.settings.queen.ollama_port:
            say(f"  for clients of Ollama: port {port}")
    if record.program == "hive":
        queen = context.settings.queen.url or _queen_of(context)
        say(f"  queen     {queen or 'as the registry tells; or set queen.url'}")
    say(f"  token     {context.folders.token_file}")
    say(f"Stop it: rbee {record.program} stop" + ("" if in_background else ", or Ctrl+C here"))
