"""``rbee registry``: the group; one module a command beside it."""

from __future__ import annotations

from types import MappingProxyType

import click

from rbee.cli.lazy import LazyGroup

_COMMANDS = MappingProxyType(
    {
        "start": "Run the registry.",
        "stop": "Stop the registry.",
        "status": "Say whether the registry runs, and where.",
    }
)


@click.group("registry", cls=LazyGroup, package=__name__, table=_COMMANDS)
def command() -> None:
    """Run the registry by itself."""
