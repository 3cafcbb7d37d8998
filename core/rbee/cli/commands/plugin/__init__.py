"""``rbee plugin``: the group; one module a command beside it."""

from __future__ import annotations

from types import MappingProxyType

import click

from rbee.cli.lazy import LazyGroup

_COMMANDS = MappingProxyType(
    {
        "install": "Install a plugin into rbee's environment.",
        "list": "List plugins, their packages, and why one failed.",
        "remove": "Remove a plugin from rbee's environment.",
    }
)


@click.group("plugin", cls=LazyGroup, package=__name__, table=_COMMANDS)
def command() -> None:
    """Packages of plugins in rbee's own environment."""
