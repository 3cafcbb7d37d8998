"""``rbee worker stop``."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from rbee.cli.console import Talk, say, talking
from rbee.cli.context import Context, current
from rbee.cli.executor import Executor, find_executor
from rbee.cli.loop import run_async
from rbee.cli.named import by_prefix
from rbee.cli.work import run_job
from rbee.clients import Credentials, QueenClient, Transport, WorkerClient
from rbee.clients.who import the_worker


@click.command("stop")
@click.argument("worker")
@click.option("--force", is_flag=True, help="At once; open requests end with an error.")
@click.option("--json", "as_json", is_flag=True, help="Print what was stopped as JSON.")
def command(*, worker: str, force: bool, as_json: bool) -> None:
    """Stop a worker; open requests get `worker.drain_s` seconds to finish.

    As much of its id as leaves no doubt is enough.  Without a queen, a hive is asked directly.
    """
    context = current()
    stopped = run_async(_stop(context, find_executor(context), worker, force=force))
    if as_json:
        click.echo(msgspec.json.encode(stopped).decode())
        return
    process = f" (process {stopped['pid']})" if stopped["pid"] is not None else ""
    say(f"Worker {stopped['worker_id']}{process} is stopped.")


async def _stop(context: Context, executor: Executor, worker: str, *, force: bool) -> dict[str, Any]:
    transport = Transport(executor.url, context.credentials(), executor.who)
    try:
        with talking() as talk:
            if executor.hive_id is not None:
                listed = await run_job(transport, "worker_process_list", {}, Talk())
                names = [one["worker_id"] for one in listed["workers"]]
                return await _by_job(transport, by_prefix(worker, names, "worker", "rbee worker ls"), talk, force=force)
            known = {one.worker_id: one for one in await QueenClient(transport).workers()}
            worker_id = by_prefix(worker, known, "worker", "rbee worker ls")
            record = known[worker_id]
            if record.hive_id is not None or record.url is None or force:
                return await _by_job(transport, worker_id, talk, force=force)
            # Started by hand, it is no hive's child.
            talk.note(f"{worker_id} was not started by a hive; asking it to leave")
            await _ask_to_leave(record.url, context.credentials(), worker_id)
            return {"worker_id": worker_id, "pid": record.pid}
    finally:
        await transport.close()


async def _by_job(transport: Transport, worker_id: str, talk: Talk, *, force: bool) -> dict[str, Any]:
    fields = {"worker_id": worker_id, "force": force or None}
    found: dict[str, Any] = await run_job(transport, "worker_process_delete", fields, talk)
    return found


async def _ask_to_leave(url: str, credentials: Credentials, worker_id: str) -> None:
    transport = Transport(url, credentials, the_worker(worker_id))
    try:
        await WorkerClient(transport).shutdown()
    finally:
        await transport.close()
