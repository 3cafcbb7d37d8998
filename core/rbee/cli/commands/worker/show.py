"""``rbee worker show``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import msgspec

from rbee.cli.context import current
from rbee.cli.format import printable
from rbee.cli.named import by_prefix
from rbee.cli.queen import ask_queen
from rbee.cli.worker_list import facts_of, why_not_routable
from rbee.clients import QueenClient
from rbee.contract.wire import WorkerRecord


@click.command("show")
@click.argument("worker")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, worker: str, as_json: bool) -> None:
    """Show one worker with everything known of it, how old each part is, and why it takes no requests if it does not.

    As much of its id as leaves no doubt is enough.
    """

    async def ask(queen: QueenClient) -> tuple[list[WorkerRecord], dict[str, Any]]:
        return await queen.workers(), await queen.info()

    workers, info = ask_queen(current(), ask)
    by_id = {one.worker_id: one for one in workers}
    found = by_id[by_prefix(worker, by_id, "worker", "rbee worker ls")]
    devices = _devices(found, info)
    if as_json:
        told = msgspec.to_builtins(found) | {"why_not_routable": why_not_routable(found), "devices": devices}
        click.echo(msgspec.json.encode(told).decode())
        return
    for key, value in facts_of(found, [_told(one) for one in devices]).items():
        click.echo(f"{key:<13} {printable(value)}")


def _devices(worker: WorkerRecord, info: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What its hive tells of the devices that the worker names; an engine may use several."""
    named = set((worker.device or "").split(","))
    hives = [one for one in info["hives"] if one["hive_id"] == worker.hive_id]
    return [device for hive in hives for device in hive["devices"] or () if device["id"] in named]


def _told(device: Mapping[str, Any]) -> str:
    memory = device.get("vram_gb")
    size = f", {memory:g} GiB" if memory else f", {device['cores']} cores" if device.get("cores") else ""
    return f"{device['id']} ({device['name']}{size})"
