"""``rbee bundle``: the group; one module a command beside it."""

from __future__ import annotations

from types import MappingProxyType

import click

from rbee.cli.lazy import LazyGroup

_COMMANDS = MappingProxyType(
    {
        "build": "Make a bundle of what this machine runs.",
        "verify": "Check every file of a bundle.",
    }
)


@click.group("bundle", cls=LazyGroup, package=__name__, table=_COMMANDS)
def command() -> None:
    """All that a machine without a package index needs to run this very rbee, in one file."""
