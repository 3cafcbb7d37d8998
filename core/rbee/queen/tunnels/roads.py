"""Where the queen connects to when she means a hive or a worker: at their own addresses, or through a tunnel."""

from __future__ import annotations

import socket
import urllib.parse

from rbee.contract.errors import UnreachableError
from rbee.queen.tunnels.tunnel import Tunnel

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

    @property
    def any(self) -> bool:
        """Whether any hive is reached through a tunnel."""
        return bool(self._tunnels)

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
        host, port = _place(url)
        if not url.startswith("https:"):
            raise UnreachableError(
                f"Hive {hive_id!r} has registered {url!r}: through a tunnel only TLS is spoken. Let it listen beyond "
                "loopback: setting server.host."
            )
        return _at(await tunnel.open(host, port))

    def now(self, hive_id: str | None, url: str) -> str:
        """The same at once; where nothing leads at this moment, an address that refuses every connection."""
        tunnel = self._through(hive_id)
        if tunnel is None:
            return url
        found = None
        if url.startswith("https:"):
            found = tunnel.door(*_place(url))
            tunnel.want(*_place(url))
        return _at(self._nowhere() if found is None else found)

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


def _place(url: str) -> tuple[str, int]:
    parts = urllib.parse.urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _at(port: int) -> str:
    return f"https://{_LOOPBACK}:{port}"
