"""All SSH tunnels of the queen: one owner, who ends them with her."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from rbee.beehives import Beehive
from rbee.clients import keep_running
from rbee.contract.errors import ConfigurationError
from rbee.queen.tunnels.roads import Roads
from rbee.queen.tunnels.tunnel import Tunnel
from rbee.remote import Host

Connect = Callable[[Beehive], Awaitable[Host]]


class _Kept(NamedTuple):
    tunnel: Tunnel
    task: asyncio.Task[None]


class Tunnels:
    """Opens and closes tunnels, at most one a machine.

    Args:
        roads: told of a tunnel that closes.
        connect: to a machine over SSH.
        inner: port of this machine's loopback at which the queen speaks TLS; None where she speaks none.
    """

    def __init__(self, roads: Roads, connect: Connect, inner: int | None) -> None:
        self._roads = roads
        self._connect = connect
        self._inner = inner
        self._kept: dict[str, _Kept] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def possible(self) -> bool:
        """Whether there may be any: only a queen who speaks TLS is shown to other machines."""
        return self._inner is not None

    def get(self, node_name: str) -> Tunnel | None:
        """A machine's tunnel; None when there is none."""
        found = self._kept.get(node_name)
        return None if found is None else found.tunnel

    def states(self) -> dict[str, bool]:
        """Machines that have a tunnel, and whether it is open."""
        return {name: kept.tunnel.is_open for name, kept in self._kept.items()}

    def open(self, beehive: Beehive, changed: Callable[[], None] | None = None) -> Tunnel:
        """A machine's tunnel, which is opened and kept open until `close`.

        Args:
            beehive: the machine.
            changed: told of each change of its state from now on; None leaves who is told.

        Raises:
            ConfigurationError: the queen speaks no TLS.
        """
        if (found := self.get(beehive.node_name)) is not None:
            found.changed = changed or found.changed
            return found
        if self._inner is None:
            raise ConfigurationError(
                "A queen that listens on loopback alone has no certificates, and without them there are no tunnels: "
                "set server.host to an address of this machine."
            )
        tunnel = Tunnel(
            beehive.node_name,
            lambda: self._connect(beehive),
            self._inner,
            beehive.tunnel_port or 0,
            changed=changed or _nobody,
        )
        name = f"the SSH tunnel to {beehive.node_name}"
        self._kept[beehive.node_name] = _Kept(tunnel, asyncio.create_task(keep_running(name, tunnel.run), name=name))
        return tunnel

    def close(self, node_name: str) -> None:
        """Close a machine's tunnel, in the background; harmless when there is none."""
        kept = self._kept.pop(node_name, None)
        if kept is None:
            return
        self._roads.leave(kept.tunnel)
        # Here too: a task that is cancelled before its first step never runs at all.
        kept.tunnel.end()
        kept.task.cancel()
        self._ending.add(kept.task)
        kept.task.add_done_callback(self._ending.discard)

    async def close_all(self) -> None:
        """Close all, and return once they are closed."""
        for node_name in list(self._kept):
            self.close(node_name)
        await asyncio.gather(*self._ending, return_exceptions=True)


def _nobody() -> None:
    """Nobody is to be told."""
