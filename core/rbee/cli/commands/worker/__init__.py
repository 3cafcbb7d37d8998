"""``rbee worker``: the group; one module a command beside it."""

from __future__ import annotations

from types import MappingProxyType

import click

from rbee.cli.lazy import LazyGroup

_COMMANDS = MappingProxyType(
    {
        "spawn": "Start a worker for a model.",
        "ls": "List workers.",
        "show": "Show one worker with everything known of it.",
        "drain": "Have a worker finish its requests and take no more.",
        "stop": "Stop a worker.",
        "list": "List installed engines.",
        "available": "List engines that can be installed.",
        "install": "Install an engine.",
        "remove": "Remove an installed engine.",
    }
)


@click.group("worker", cls=LazyGroup, package=__name__, table=_COMMANDS)
def command() -> None:
    """Start, list and stop workers; install and remove the engines that they run."""
