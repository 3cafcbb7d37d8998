"""``rbee status``."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from rbee.cli.colony import ColonyFiles, ColonyRecord
from rbee.cli.console import say
from rbee.cli.context import current
from rbee.cli.exits import NOT_RUNNING, OK
from rbee.cli.format import duration, megabytes
from rbee.cli.queen import ask_queen
from rbee.clients import QueenClient
from rbee.contract.wire import WorkerRecord


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> int:
    """Say whether the colony runs, where, and what it has.  Exit code 3 when it does not run."""
    context = current()
    context.check()
    record = ColonyFiles(context.folders).read()
    if record is None:
        if as_json:
            click.echo('{"running":false}')
        else:
            say("No colony is running. Start one: rbee up")
        return NOT_RUNNING

    async def ask(queen: QueenClient) -> tuple[dict[str, Any], list[WorkerRecord]]:
        return await queen.info(), await queen.workers()

    info, workers = ask_queen(context, record, ask)
    if as_json:
        facts = {
            "running": True,
            "colony": record,
            "openai_base_url": f"{record.queen_url}/v1",
            "token_file": str(context.folders.token_file),
            "queen": info,
            "workers": workers,
        }
        click.echo(msgspec.json.encode(facts).decode())
        return OK
    _print(record, info, workers)
    return OK


def _print(record: ColonyRecord, info: dict[str, Any], workers: list[WorkerRecord]) -> None:
    print(f"colony    up {duration(info['uptime_s'])}, process {record.pid}, rbee {info['version']}")
    print(f"registry  {record.registry_url}")
    print(f"queen     {record.queen_url}   OpenAI API: {record.queen_url}/v1")
    for hive in info["hives"]:
        node = hive["node"] or {}
        memory = f"{megabytes(node.get('ram_used_mb'))} of {megabytes(node.get('ram_total_mb'))} used"
        devices = ", ".join(device["id"] for device in hive["devices"] or ())
        engines = ", ".join(engine["name"] for engine in hive["engines"] or () if engine["available"]) or "none"
        state = "online" if hive["online"] else "down"
        threads = f"{hive['threads_free']} of {hive['threads_total']} threads free"
        print(f"hive      {hive['hive_id']} {state} {hive['url']}: {devices}; {memory}; {threads}; engines: {engines}")
    ready = sum(worker.routable for worker in workers)
    print(f"workers   {len(workers)}, {ready} taking requests" + ("; rbee ps lists them" if workers else ""))
