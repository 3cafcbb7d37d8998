"""``rbee ca``: the group; one module a command beside it."""

from __future__ import annotations

from types import MappingProxyType

import click

from rbee.cli.lazy import LazyGroup

_COMMANDS = MappingProxyType(
    {
        "show": "Show the colony's certificate authority, and what it has signed.",
        "rotate": "Give the authority a new key.",
        "revoke": "Trust a program no more.",
        "export": "Print the certificates that browsers and SDKs are to trust.",
    }
)


@click.group("ca", cls=LazyGroup, package=__name__, table=_COMMANDS)
def command() -> None:
    """The colony's certificate authority, where machines talk with one another."""
