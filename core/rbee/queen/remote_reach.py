"""The way to another machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from rbee.beehives import Beehive
from rbee.remote.host import Host


class OverSsh:
    """Connects to machines that were entered.

    Args:
        entered: all of them: one may be the way to another.
    """

    def __init__(self, entered: Callable[[], Awaitable[Sequence[Beehive]]]) -> None:
        self._entered = entered

    async def __call__(self, beehive: Beehive) -> Host:
        """The machine, connected; raises as `rbee.remote.connecting.connect`."""
        # Late: what speaks SSH takes long to load, and most queens never do.
        from rbee.remote.connecting import connect, target_of

        return await connect(target_of(beehive, await self._entered()))
