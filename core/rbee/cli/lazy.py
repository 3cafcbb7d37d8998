"""Groups of commands that know their names and import a command when it is called."""

from __future__ import annotations

import difflib
import importlib
import keyword
from collections.abc import Callable, Mapping

import click


class LazyGroup(click.Group):
    """A group whose commands are modules, each with a click command named ``command``.

    Args:
        package: where the modules are; a dash in a command's name is an underscore in its module's.
        table: short help by name, so that the group's help imports no command.
        more: further commands by name, of plugins; asked only when they are needed.
    """

    def __init__(
        self,
        *args: object,
        package: str = "",
        table: Mapping[str, str] | None = None,
        more: Callable[[], Mapping[str, click.Command]] | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # click's own, passed through
        self._package = package
        self._table = dict(table or {})
        self._more = more

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the group's own commands, in the order of its help."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name in self._table:
            module = importlib.import_module(f"{self._package}.{_module_of(cmd_name)}")
            found: click.Command = module.command
            return found
        return self._others().get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The part of the help that lists the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._table.items()))
        extra = self._others()
        if extra:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, one.get_short_help_str()) for name, one in sorted(extra.items())])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant.

        Raises:
            click.UsageError: there is none of that name; it says which is close.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            close = difflib.get_close_matches(args[0], [*self._table, *self._others()], n=1)
            if close:
                raise click.UsageError(f"There is no command {args[0]!r}. Did you mean {close[0]!r}?", ctx) from error
            raise

    def _others(self) -> dict[str, click.Command]:
        found = self._more() if self._more is not None else {}
        return {name: one for name, one in found.items() if name not in self._table}


def _module_of(name: str) -> str:
    """Name of the module of a command: ``import`` is no name that Python would let stand."""
    found = name.replace("-", "_")
    return f"{found}_" if keyword.iskeyword(found) else found
