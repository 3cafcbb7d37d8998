"""The way to another machine."""

from __future__ import annotations

from rbee.beehives import Beehive
from rbee.remote.host import Host


async def reach(beehive: Beehive) -> Host:
    """A machine that was entered, connected; raises as `rbee.remote.connecting.connect`."""
    # Late: what speaks SSH takes long to load, and most queens never do.
    from rbee.remote.connecting import connect, target_of

    return await connect(target_of(beehive))
