"""``rbee queen``: the group; one module a command beside it."""

from __future__ import annotations

from types import MappingProxyType

import click

from rbee.cli.lazy import LazyGroup

_COMMANDS = MappingProxyType(
    {
        "start": "Run the queen.",
        "stop": "Stop the queen.",
        "status": "Say whether the queen runs, and where.",
    }
)


@click.group("queen", cls=LazyGroup, package=__name__, table=_COMMANDS)
def command() -> None:
    """Run the queen by herself."""
