"""Where the queen connects to when she means a hive or a worker: at their own addresses, or through a tunnel."""

from __future__ import annotations

import socket
import urllib.parse
from collections.abc import Iterable

from rbee.contract.errors import UnreachableError
from rbee.http.guard import is_loopback
from rbee.queen.tunnels.tunnel import Tunnel
from rbee.telemetry import WorkerEntry

_LOOPBACK = "127.0.0.1"


class Roads:
    """Every address that a hive or a worker has registered passes here before it is called.

    What leads through a tunnel is decided by the hive's id, which its certificate has proved, and never by an address.
    Who is called proves by certificate to be the one that was meant, whichever road leads there.
    """

    def __init__(self) -> None:
        self._tunnels: dict[str, Tunnel] = {}
        self._closed: socket.socket | None = None

    def lay(self, hive_id: str, tunnel: Tunnel) -> None:
        """A hive, and each worker of it, is reached through a tunnel from now on."""
        self._tunnels[hive_id] = tunnel

    def leave(self, tunnel: Tunnel) -> None:
        """No hive is reached through it any more; harmless when none is."""
        for hive_id in [one for one, used in self._tunnels.items() if used is tunnel]:
            del self._tunnels[hive_id]

    def close(self) -> None:
        """Let go of what keeps a port from others."""
        if self._closed is not None:
            self._closed.close()
            self._closed = None

    def leads_through(self, hive_id: str) -> bool:
        """Whether a hive is reached through a tunnel."""
        return hive_id in self._tunnels

    def lead_through(self, tunnel: Tunnel) -> bool:
        """Whether any hive is reached through a tunnel."""
        return tunnel in self._tunnels.values()

    async def to(self, hive_id: str | None, url: str) -> str:
        """The address to call instead of one that was registered.

        Args:
            hive_id: of the hive that is there, or whose worker is; None for none that is known.
            url: as it was registered.

        Raises:
            UnreachableError: there is no line at the moment.
        """
        tunnel = self._through(hive_id)
        if tunnel is None:
            return url
        place = _place(url, tunnel)
        if place is None:
            raise UnreachableError(
                f"Hive {hive_id!r} has registered {url!r}, and its machine does not tell at which address it was "
                "reached. Let it listen at one of its own: setting server.host."
            )
        return _at(await tunnel.open(*place))

    def now(self, hive_id: str | None, url: str) -> str:
        """The same at once; where nothing leads at this moment, an address that refuses every connection."""
        tunnel = self._through(hive_id)
        if tunnel is None:
            return url
        place, found = _place(url, tunnel), None
        if place is not None:
            found = tunnel.door(*place)
            tunnel.want(*place)
        return _at(self._nowhere() if found is None else found)

    def prepare(self, entries: Iterable[WorkerEntry]) -> None:
        """Have doors to workers open before the first request comes; harmless where no tunnel leads to them."""
        if self._tunnels:
            for entry in entries:
                if entry.url is not None:
                    self.now(entry.hive_id, entry.url)

    def queen_url(self, hive_id: str | None, url: str) -> str | None:
        """The queen's address for a hive and its workers.

        Args:
            hive_id: whose.
            url: her own.

        Returns:
            None when there is none at the moment.
        """
        tunnel = self._through(hive_id)
        return url if tunnel is None else tunnel.queen_url

    def _through(self, hive_id: str | None) -> Tunnel | None:
        return None if hive_id is None else self._tunnels.get(hive_id)

    def _nowhere(self) -> int:
        """A port that is taken and does not listen: whoever connects is refused, and nobody else can answer there."""
        if self._closed is None:
            self._closed = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._closed.bind((_LOOPBACK, 0))
        return int(self._closed.getsockname()[1])


def _place(url: str, tunnel: Tunnel) -> tuple[str, int] | None:
    """What listens there, as its own machine sees it; None when that is not known.

    Never its loopback, where plain text may be spoken: a machine without a way to the internet tells no other address,
    and is called at the one where its SSH server was reached.
    """
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if is_loopback(host):
        return None if tunnel.address is None else (tunnel.address, port)
    return host, port


def _at(port: int) -> str:
    return f"https://{_LOOPBACK}:{port}"
