"""``rbee conformance``: the group; one module a command beside it."""

from __future__ import annotations

from types import MappingProxyType

import click

from rbee.cli.lazy import LazyGroup

_COMMANDS = MappingProxyType({"worker": "Examine a running worker by HTTP."})


@click.group("conformance", cls=LazyGroup, package=__name__, table=_COMMANDS)
def command() -> None:
    """Examine running programs of whatever make: which promises of the contract they keep."""
