"""``rbee hive drain``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.console import say
from rbee.cli.context import current
from rbee.cli.draining import until_drained
from rbee.cli.named import by_prefix
from rbee.cli.queen import ask_queen
from rbee.clients import QueenClient
from rbee.contract.errors import InvalidRequestError, UnavailableError
from rbee.contract.wire import HiveDrain


@click.command("drain")
@click.argument("hive", required=False)
@click.option("--undo", is_flag=True, help="Have it work again.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the requests that are open.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait no longer.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, hive: str | None, undo: bool, no_wait: bool, timeout_s: float | None, as_json: bool) -> None:
    """Take a machine out of work: its workers finish their open requests and take no more, and none is started there.

    Without a name, the only hive.  It ends with --undo, and with the hive's process.
    """

    async def ask(queen: QueenClient) -> HiveDrain:
        hive_id = _meant(hive, list(await queen.hives()))
        return await until_drained(
            lambda: queen.drain_hive(hive_id, on=not undo),
            lambda told: sum(one.open_requests or 0 for one in told.workers),
            f"Hive {hive_id}",
            wait=not no_wait and not undo,
            timeout_s=timeout_s,
        )

    told = ask_queen(current(), ask)
    for one in told.workers:
        if one.error is not None:
            say(f"Worker {one.worker_id} could not be told: {one.error}")
    if as_json:
        click.echo(msgspec.json.encode(told).decode())
    elif undo:
        say(f"Hive {told.hive_id} works again, with {_workers(len(told.workers))}.")
    else:
        left = sum(one.open_requests or 0 for one in told.workers)
        still = f"{left} still open" if left else "none is open"
        say(
            f"Hive {told.hive_id} is out of work: no worker is started there and no request goes there; {still}. "
            f"Back to work: rbee hive drain {told.hive_id} --undo"
        )


def _meant(hive: str | None, online: list[str]) -> str:
    if hive is not None:
        if hive == "localhost" and len(online) == 1:
            return online[0]
        return by_prefix(hive, online, "hive that is online", "rbee status")
    if not online:
        raise UnavailableError("No hive is online. Start one: rbee hive start")
    if len(online) > 1:
        raise InvalidRequestError(f"Several hives are online: {', '.join(sorted(online)[:20])}. Name one.")
    return online[0]


def _workers(number: int) -> str:
    return "1 worker" if number == 1 else f"{number} workers"
