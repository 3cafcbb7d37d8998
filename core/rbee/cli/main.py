"""The ``rbee`` command."""

from __future__ import annotations

import importlib
import os
import sys
from types import MappingProxyType

import click

from rbee.cli.exits import run_and_exit
from rbee.contract.version import __version__

# Name, short help: here, so that `rbee --help` imports no command.
_COMMANDS = MappingProxyType(
    {
        "run": "Ask a model once and print its answer.",
        "chat": "Talk with a model.",
        "up": "Run the colony: registry, queen and hive.",
        "down": "Stop the colony and its workers.",
        "status": "Say whether the colony runs, and where.",
        "ps": "List workers.",
        "plugins": "List plugins: what they bring, or why they failed.",
        "config": "Show settings and where they come from.",
        "completion": "Print the shell's completion script.",
    }
)


class _Lazy(click.Group):
    """A group that knows its commands' names and imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _COMMANDS:
            module = importlib.import_module(f"rbee.cli.commands.{cmd_name}")
            found: click.Command = module.command
            return found
        return _plugin_commands().get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))
        extra = _plugin_commands()
        if extra:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, one.get_short_help_str()) for name, one in sorted(extra.items())])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            close = difflib.get_close_matches(args[0], [*_COMMANDS, *_plugin_commands()], n=1)
            if close:
                raise click.UsageError(f"There is no command {args[0]!r}. Did you mean {close[0]!r}?", ctx) from error
            raise


def _plugin_commands() -> dict[str, click.Command]:
    from rbee.plugins import load_plugins

    shelf = load_plugins(os.environ.get("RBEE_PLUGINS")).registrations.commands
    return {name: shelf.get(name) for name in shelf.names() if name not in _COMMANDS}


def _overrides(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in value:
        name, equals, given = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE, as in queen.port=9000.")
        found[name.strip()] = given
    return found


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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
    """Entry point of the console script and of ``python -m rbee``."""
    _open_standard_streams()
    sys.exit(run_and_exit(cli))
