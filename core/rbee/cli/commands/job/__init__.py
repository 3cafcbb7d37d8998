"""``rbee job``: the group; one module a command beside it."""

from __future__ import annotations

from types import MappingProxyType

import click

from rbee.cli.lazy import LazyGroup

_COMMANDS = MappingProxyType(
    {
        "ls": "List jobs.",
        "show": "Show one job.",
        "watch": "Follow a job to its end.",
        "cancel": "Cancel a job.",
    }
)


@click.group("job", cls=LazyGroup, package=__name__, table=_COMMANDS)
def command() -> None:
    """List, watch and cancel jobs."""
