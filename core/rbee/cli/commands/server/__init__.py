"""``rbee server``: the group; one module a command beside it."""

from __future__ import annotations

from types import MappingProxyType

import click

from rbee.cli.lazy import LazyGroup

_COMMANDS = MappingProxyType(
    {
        "add": "Let a server that runs already join the colony.",
        "ls": "List the servers that were added.",
        "rm": "Forget a server and its key.",
    }
)


@click.group("server", cls=LazyGroup, package=__name__, table=_COMMANDS)
def command() -> None:
    """Servers that speak OpenAI's API and run already, here or elsewhere, as part of the colony."""
