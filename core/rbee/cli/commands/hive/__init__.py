"""``rbee hive``: the group; one module a command beside it."""

from __future__ import annotations

from types import MappingProxyType

import click

from rbee.cli.lazy import LazyGroup

_COMMANDS = MappingProxyType(
    {
        "start": "Run the hive of this machine, or start those of others.",
        "stop": "Stop the hive of this machine, or those of others.",
        "restart": "Stop and start the hives of other machines.",
        "drain": "Take a machine out of work.",
        "status": "Say whether a hive runs, and where.",
        "install": "Install rbee on other machines and start their hives.",
        "upgrade": "Bring other machines to the version of the queen's.",
        "uninstall": "Remove rbee from other machines.",
        "logs": "Print what hives of other machines have said.",
        "add": "Log in on a machine and enter it into the list of hives.",
        "doctor": "Look at machines over SSH.",
        "invite": "Invite a machine into the colony.",
        "approve": "Let a machine join that was invited and waits.",
        "join": "Let this machine join a colony.",
        "ls": "List the hives that were entered.",
        "show": "Show one of them.",
        "rm": "Take one out of the list.",
        "import": "Enter machines from an SSH configuration or a hosts file.",
    }
)


@click.group("hive", cls=LazyGroup, package=__name__, table=_COMMANDS)
def command() -> None:
    """Run a hive by itself; keep the list of hives."""
