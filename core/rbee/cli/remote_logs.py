"""Logs of workers on other machines, read through the hives there."""

from __future__ import annotations

import asyncio

import msgspec

from rbee.cli.console import say
from rbee.cli.context import Context
from rbee.cli.locate import find_queen
from rbee.cli.logprint import LogPrinter
from rbee.cli.loop import run_async
from rbee.clients import Credentials, HiveClient, QueenClient, Transport
from rbee.clients.who import QUEEN, the_hive
from rbee.contract.errors import NotFoundError, RbeeError, UnreachableError

_LOOKUP_S = 5.0
_POLL_S = 0.5
_RETRY_S = 2.0


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """What the queen knows of the colony's other machines.

    Attributes:
        workers: hive by worker; None for a worker without one.
        hives: address by hive, as the queen's machine reaches it; None where it is not known.
    """

    workers: dict[str, str | None] = {}
    hives: dict[str, str | None] = {}


def elsewhere(context: Context) -> Elsewhere:
    """Ask the queen; nothing is known where none answers."""
    try:
        url = find_queen(context)
        return Elsewhere() if url is None else run_async(_ask(url, context.credentials()))
    except RbeeError as error:
        say(f"Only logs of this machine: {error.message}")
        return Elsewhere()


async def print_remote(
    context: Context, worker_id: str, place: Elsewhere, printer: LogPrinter, *, lines: int, follow: bool
) -> None:
    """Print a worker's log as its hive has it.

    Raises:
        NotFoundError: no hive is known for it, or it has no such log.
        RbeeError: as the hive raises.
    """
    hive_id = place.workers[worker_id]
    url = None if hive_id is None else place.hives.get(hive_id)
    if hive_id is None or url is None:
        raise NotFoundError(
            f"Worker {worker_id!r} was not started by a hive that is known; its log is where it was started."
        )
    transport = Transport(url, context.credentials(), the_hive(hive_id))
    try:
        hive = HiveClient(transport)
        part = await hive.worker_log(worker_id, lines=lines)
        if part.left_out != 0:
            say(f"Older lines are on the machine of hive {hive_id}: rbee logs {worker_id} there.")
        printer.write(part.text.encode())
        away = False
        while follow:
            await asyncio.sleep(_RETRY_S if away else _POLL_S)
            try:
                part = await hive.worker_log(worker_id, after=part.after)
            except UnreachableError as error:
                if not away:
                    say(f"{error.message} Waiting for it.")
                away = True
                continue
            away = False
            if part.left_out:
                say(f"{part.left_out} bytes came too fast and were left out.")
            printer.write(part.text.encode())
    finally:
        await transport.close()


async def _ask(url: str, credentials: Credentials) -> Elsewhere:
    transport = Transport(url, credentials, QUEEN, timeout_s=_LOOKUP_S)
    try:
        queen = QueenClient(transport)
        workers, info = await queen.workers(), await queen.info()
    finally:
        await transport.close()
    return Elsewhere(
        workers={one.worker_id: one.hive_id for one in workers},
        hives={str(one["hive_id"]): one.get("road") or one.get("url") for one in info["hives"]},
    )
