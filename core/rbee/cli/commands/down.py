"""``rbee down``."""

from __future__ import annotations

import contextlib
import signal
import time

import click
import msgspec

from rbee.cli.apart import end
from rbee.cli.colony import ColonyFiles, ColonyRecord
from rbee.cli.console import say
from rbee.cli.context import Context, current
from rbee.cli.ending import drain_s, end_process, patience_s
from rbee.cli.loop import run_async
from rbee.cli.programs import PROGRAMS
from rbee.clients import Credentials, QueenClient, Transport
from rbee.clients.who import QUEEN
from rbee.contract.errors import RbeeError

_POLL_S = 0.05


@click.command("down")
@click.option("--json", "as_json", is_flag=True, help="Print what was stopped as JSON.")
def command(*, as_json: bool) -> None:
    """Stop everything of rbee on this machine: colony, programs that run by themselves, workers left behind."""
    context = current()
    files = ColonyFiles(context.folders)
    record = files.read()
    if record is not None:
        _stop(context, files, record)
    # The hive first: its workers say good-bye to a queen who is still there.
    apart = [ended for program in reversed(PROGRAMS) if (ended := end(context, program)) is not None]
    leftover = _stop_leftover(context)
    if as_json:
        stopped = None if record is None else record.pid
        told = {"stopped_pid": stopped, "stopped_programs": apart, "leftover_workers": leftover}
        click.echo(msgspec.json.encode(told).decode())
        return
    if record is not None:
        say(f"The colony (process {record.pid}) is stopped.")
    for one in apart:
        say(f"The {one.program} (process {one.pid}) is stopped.")
    if record is None and not apart:
        say("No colony was running.")
    if leftover:
        say(f"Stopped workers of an earlier colony: {', '.join(leftover)}.")


def _stop(context: Context, files: ColonyFiles, record: ColonyRecord) -> None:
    asked = run_async(_ask(record.queen_url, context.present_credentials()))
    end_process(files, record.pid, "The colony", patience_s(context), asked=asked)


async def _ask(url: str, credentials: Credentials) -> bool:
    transport = Transport(url, credentials, QUEEN, timeout_s=3.0)
    try:
        await QueenClient(transport).shutdown()
    except RbeeError:
        return False
    finally:
        await transport.close()
    return True


def _stop_leftover(context: Context) -> list[str]:
    """End workers without a colony: they would do so themselves within half a minute."""
    from rbee.hive.children import find, is_alive, send_signal

    if not context.folders.state.is_dir():
        return []
    children = list(find(context.folders.state))
    for number, wait_s in ((signal.SIGTERM, drain_s(context) + 2), (signal.SIGKILL, 5.0)):
        living = [child for child in children if is_alive(child)]
        for child in living:
            with contextlib.suppress(RbeeError):
                send_signal(child, number, context.folders.state)
        deadline = time.monotonic() + wait_s
        while any(is_alive(child) for child in living) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    return sorted(child.worker_id for child in children)
