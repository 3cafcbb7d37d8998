"""``rbee up``."""

from __future__ import annotations

import signal
from collections.abc import Callable, Coroutine
from typing import Any

import click
import msgspec

from rbee.cli.colony import ColonyFiles, ColonyRecord, start_detached
from rbee.cli.console import say
from rbee.cli.context import Context, current
from rbee.cli.exits import OK
from rbee.cli.foreground import run_program
from rbee.contract.errors import ConflictError
from rbee.http.guard import is_loopback


@click.command("up")
@click.option("--detach", "-d", is_flag=True, help="Run in the background; returns once it answers.")
@click.option("--json", "as_json", is_flag=True, help="Print where it listens as JSON.")
@click.option("--while-used", is_flag=True, hidden=True)
@click.option("--report-fd", type=int, hidden=True)
def command(*, detach: bool, as_json: bool, while_used: bool, report_fd: int | None) -> int:
    """Run the colony: registry, queen and hive in one process, workers beside it.

    It runs in the foreground until Ctrl+C or `rbee down`.
    """
    context = current()
    if detach:
        context.folders.make()
        files = ColonyFiles(context.folders)
        present = files.read()
        if present is not None:
            raise ConflictError(
                f"A colony is running already: process {present.pid}, API at {present.queen_url}/v1. Stop it: rbee down"
            )
        _announce(context, start_detached(context, while_used=False), as_json=as_json, detached=True)
        return OK
    return _foreground(context, as_json=as_json, while_used=while_used, report_fd=report_fd)


def _foreground(context: Context, *, as_json: bool, while_used: bool, report_fd: int | None) -> int:
    from rbee.cli.hosting import host_colony

    def host(ready: Callable[[ColonyRecord], None]) -> Coroutine[Any, Any, signal.Signals | None]:
        return host_colony(context, while_used=while_used, detached=report_fd is not None, on_ready=ready)

    def announce(record: ColonyRecord) -> None:
        _announce(context, record, as_json=as_json, detached=False)

    return run_program(context, host, announce, report_fd, context.folders.logs / "colony.log", "The colony")


def _announce(context: Context, record: ColonyRecord, *, as_json: bool, detached: bool) -> None:
    if as_json:
        click.echo(
            msgspec.json.encode(
                {
                    "pid": record.pid,
                    "registry_url": record.registry_url,
                    "queen_url": record.queen_url,
                    "hive_url": record.hive_url,
                    "openai_base_url": f"{record.queen_url}/v1",
                    "ollama_url": record.ollama_url,
                    "public_url": record.public_url,
                    "token_file": str(context.folders.token_file),
                }
            ).decode()
        )
        return
    api = f"{record.queen_url}/v1"
    server = context.settings.server
    open_door = is_loopback(server.host) and not server.require_token
    token_file = context.folders.token_file
    needed = "for control routes; on loopback not for inference" if open_door else "for everything but /health"
    header = "" if open_door else f""" -H "Authorization: Bearer $(cat '{token_file}')\""""
    key = '"unused"' if open_door else f'open("{token_file}").read().strip()'
    say(f"The colony is up{' in the background' if detached else ''} (process {record.pid}).")
    say(f"  registry  {record.registry_url}")
    say(f"  queen     {record.queen_url}   OpenAI API: {api}")
    if record.ollama_url is not None:
        say(f"  ollama    {record.ollama_url}")
    say(f"  hive      {record.hive_url}")
    if record.public_url not in {None, record.queen_url}:
        say(f"  for other machines: {record.public_url}")
        say("            what they are to trust: rbee ca export; a machine joins: rbee hive invite")
    say(f"  token     {token_file}  (needed {needed})")
    say("")
    say("Ask it:")
    say("  rbee run demo 'What is Python?'")
    say(f"  curl {api}/chat/completions -H 'Content-Type: application/json'{header} \\")
    say("""    -d '{"model": "demo", "messages": [{"role": "user", "content": "What is Python?"}]}'""")
    say(f"""  python: OpenAI(base_url="{api}", api_key={key})  # from openai import OpenAI""")
    say("")
    say("Stop it: rbee down" + ("" if detached else ", or Ctrl+C here"))
