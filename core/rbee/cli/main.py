"""The ``rbee`` command."""

from __future__ import annotations

import os
import sys
from types import MappingProxyType

import click

from rbee.cli.exits import run_and_exit
from rbee.cli.lazy import LazyGroup
from rbee.contract.version import __version__

# Name, short help: here, so that `rbee --help` imports no command.
_COMMANDS = MappingProxyType(
    {
        "run": "Ask a model once and print its answer.",
        "chat": "Talk with a model.",
        "pull": "Fetch models.",
        "plan": "Say what each hive would take of a model, and whether it fits.",
        "model": "Find, fetch, list, check and delete models.",
        "up": "Run the colony: registry, queen and hive.",
        "ca": "The colony's certificate authority.",
        "down": "Stop the colony and its workers.",
        "status": "Say whether the colony runs, and where.",
        "ps": "List workers.",
        "top": "Watch hives and workers live.",
        "logs": "Print or follow logs of workers and programs.",
        "doctor": "Check this machine and the colony; say what to do.",
        "load": "Have a model served before anybody asks it.",
        "unload": "Stop a model's workers; its files stay.",
        "explain": "Say why a request went where it went.",
        "replay": "Make recorded decisions again by another policy.",
        "bench": "Measure how quick workers are.",
        "simulate": "Try a policy on a fleet and a load that files describe.",
        "infer": "Generate text, by the queen or straight at a worker.",
        "worker": "Start, list and stop workers.",
        "job": "List, watch and cancel jobs.",
        "registry": "Run the registry by itself.",
        "queen": "Run the queen by herself.",
        "hive": "Run a hive by itself; keep the list of hives.",
        "bundle": "Take rbee to machines without a package index.",
        "server": "Let servers that run already join the colony.",
        "plugin": "Install, list and remove plugins.",
        "plugins": "List plugins: what they bring, or why they failed.",
        "conformance": "Examine a running worker of whatever make.",
        "config": "Show settings and where they come from.",
        "completion": "Print the shell's completion script.",
    }
)


def _plugin_commands() -> dict[str, click.Command]:
    from rbee.plugins import load_plugins

    shelf = load_plugins(os.environ.get("RBEE_PLUGINS")).registrations.commands
    return {name: shelf.get(name) for name in shelf.names()}


def _overrides(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in value:
        name, equals, given = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE, as in queen.port=9000.")
        found[name.strip()] = given
    return found


@click.group(
    cls=LazyGroup,
    package="rbee.cli.commands",
    table=_COMMANDS,
    more=_plugin_commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="rbee", message="%(prog)s %(version)s")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_overrides,
    help="Override a setting for this run; `rbee config show` lists them.",
)
@click.pass_context
def cli(ctx: click.Context, overrides: dict[str, str]) -> None:
    """One private LLM cloud from the machines you already own."""
    ctx.obj = overrides


def _open_standard_streams() -> None:
    """Started with a closed descriptor 0, 1 or 2, the next file or socket opened would take its place."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free descriptor is this one: those below are open by now.
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def main() -> None:
    """Run the command line and leave; `rbee.cli.start` is the entry."""
    _open_standard_streams()
    sys.exit(run_and_exit(cli))
