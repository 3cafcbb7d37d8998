"""``rbee model``: the group; one module a command beside it."""

from __future__ import annotations

from types import MappingProxyType

import click

from rbee.cli.lazy import LazyGroup

_COMMANDS = MappingProxyType(
    {
        "search": "Look for models where they are published.",
        "plan": "Say what each hive would take of a model, and whether it fits.",
        "pull": "Fetch models, as `rbee pull` does.",
        "ls": "List the models that hives have.",
        "show": "Show one model with everything known of it.",
        "verify": "Read a model's files anew and compare their checksums.",
        "cp": "Copy a model from one hive to another.",
        "rm": "Delete a model.",
        "gc": "Delete what unfinished downloads have left.",
        "alias": "Give models short names.",
    }
)


@click.group("model", cls=LazyGroup, package=__name__, table=_COMMANDS)
def command() -> None:
    """Find, fetch, list, check and delete models."""
