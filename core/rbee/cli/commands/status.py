"""``rbee status``."""

from __future__ import annotations

import time
from typing import Any

import click
import msgspec

from rbee.cli.colony import ColonyFiles
from rbee.cli.console import say
from rbee.cli.context import current
from rbee.cli.exits import FAILED, NOT_RUNNING, OK
from rbee.cli.format import duration, megabytes, printable
from rbee.cli.locate import find_queen
from rbee.cli.programs import PROGRAMS, ProgramFiles, ProgramRecord
from rbee.cli.queen import ask_queen
from rbee.clients import QueenClient
from rbee.contract.errors import AuthenticationError
from rbee.contract.wire import WorkerRecord


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> int:
    """Say whether the colony runs, where, and what it has.  Exit code 3 when nothing of it runs."""
    context = current()
    context.check()
    colony = ColonyFiles(context.folders).read()
    programs = [found for program in PROGRAMS if (found := ProgramFiles(context.folders, program).read()) is not None]
    refusal: str | None = None
    try:
        queen_url = find_queen(context)
    except AuthenticationError as error:
        if not programs:
            raise
        queen_url, refusal = None, error.message
    if not programs and queen_url is None:
        if as_json:
            click.echo('{"running":false}')
        else:
            say("No colony is running. Start one: rbee up")
        return NOT_RUNNING

    async def ask(queen: QueenClient) -> tuple[dict[str, Any], list[WorkerRecord]]:
        return await queen.info(), await queen.workers()

    info, workers = ask_queen(context, ask) if queen_url is not None else (None, [])
    if as_json:
        facts = {
            "running": True,
            "colony": colony,
            "programs": programs,
            "openai_base_url": None if queen_url is None else f"{queen_url}/v1",
            "token_file": str(context.folders.token_file),
            "queen": info,
            "workers": workers,
            "refusal": refusal,
        }
        click.echo(msgspec.json.encode(facts).decode())
        return OK if refusal is None else FAILED
    if colony is not None:
        print(f"colony    process {colony.pid}, up {duration(int(time.time() - colony.started_at))}")
    for record in programs:
        if colony is None or record.program == "registry":
            by_itself = "" if colony is not None else f" process {record.pid}, up {duration(_age(record))},"
            print(f"{record.program:<9}{by_itself} {record.url}")
    if refusal is not None:
        print(f"queen     not to be asked: {refusal}")
        return FAILED
    if info is None:
        print("queen     none known; start one, or set queen.url or registry.url")
    else:
        _print(info, workers)
    return OK


def _age(record: ProgramRecord) -> int:
    return int(time.time() - record.started_at)


def _state(hive: dict[str, Any]) -> str:
    if not hive["online"]:
        return "down"
    # A queen of an earlier version does not tell it.
    told = hive.get("operational_status") or "ready"
    return "online" if told == "ready" else f"online, {told}"


def _threads(hive: dict[str, Any]) -> str:
    total, granted = hive["threads_total"], hive.get("threads_granted")
    if total is not None and granted is not None and granted > total:
        return f"workers have {granted} threads on {total} cores and share them"
    return f"{hive['threads_free']} of {total} threads free"


def _print(info: dict[str, Any], workers: list[WorkerRecord]) -> None:
    up = duration(info["uptime_s"])
    print(f"queen     {info['url']}   OpenAI API: {info['url']}/v1   up {up}, rbee {info['version']}")
    for hive in info["hives"]:
        node = hive["node"] or {}
        memory = f"{megabytes(node.get('ram_used_mb'))} of {megabytes(node.get('ram_total_mb'))} used"
        devices = ", ".join(device["id"] for device in hive["devices"] or ())
        engines = ", ".join(engine["name"] for engine in hive["engines"] or () if engine["available"]) or "none"
        state = _state(hive)
        threads = _threads(hive)
        facts = f"{hive['hive_id']} {state} {hive['url']}: {devices}; {memory}; {threads}; engines: {engines}"
        print(f"hive      {printable(facts)}")
    ready = sum(worker.routable for worker in workers)
    print(f"workers   {len(workers)}, {ready} taking requests" + ("; rbee ps lists them" if workers else ""))
