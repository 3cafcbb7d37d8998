"""How the queen gets an SSH connection to a machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from rbee.beehives import Beehive
from rbee.remote import Host


async def connected(beehive: Beehive, others: Callable[[], Awaitable[Iterable[Beehive]]]) -> Host:
    """A connection to a machine whose host key was accepted before.

    Args:
        beehive: the machine.
        others: those that may lead to it.

    Raises:
        RbeeError: there is none; the message names the machine, the cause and the remedy.
    """
    # Late: what speaks SSH takes long to load, and most colonies have no tunnel.
    from rbee.remote.connecting import connect, target_of

    return await connect(target_of(beehive, await others()))
