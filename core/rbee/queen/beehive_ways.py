"""Which way a beehive is reached: directly, or through an SSH tunnel."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from typing import Any

from rbee.beehives import HIVE_PORT, Beehive, BeehiveReach
from rbee.clients import Credentials, Transport
from rbee.clients.who import QUEEN
from rbee.contract.errors import RbeeError
from rbee.queen.beehive_probe import Finding, probe, probe_through
from rbee.queen.tunnels import Roads, Tunnel, Tunnels
from rbee.telemetry import TelemetryRegistry

_ANSWER_S = 5.0
_SILENT = frozenset({"offline", "reachable", "unknown"})
"""What has been found where nothing of this or another colony has answered."""


class Ways:
    """Tries the ways that an operator leaves open, and keeps the one that leads to the hive.

    Left to her, the queen first goes directly.  Only to a machine whose host key was accepted does she open a tunnel by
    herself: nobody is to be logged in to a machine that merely answers at an address.

    Args:
        tunnels: of the queen.
        roads: told which hive is reached through which tunnel.
        credentials: shown to the others.
        telemetry: knows the addresses that hives have told.
    """

    def __init__(self, tunnels: Tunnels, roads: Roads, credentials: Credentials, telemetry: TelemetryRegistry) -> None:
        self._tunnels = tunnels
        self._roads = roads
        self._credentials = credentials
        self._telemetry = telemetry

    async def look(self, beehive: Beehive, hive_id: str | None, changed: Callable[[], None]) -> Finding:
        """Try to reach the hive of a machine.

        Args:
            beehive: the machine.
            hive_id: the hive that has answered there before; None for none.
            changed: told when a tunnel to it has changed.
        """
        tunnel = self._tunnels.get(beehive.node_name)
        if tunnel is None and beehive.reach == "tunnel" and self._tunnels.possible and may_have_tunnel(beehive):
            # As it was reached in an earlier life.
            tunnel = self._tunnels.open(beehive, changed)
            await tunnel.settled()
        used = beehive.reach == "tunnel" or (tunnel is not None and self._roads.lead_through(tunnel))
        if tunnel is not None and used and tunnel.is_open:
            found = await self._through(beehive, tunnel, hive_id)
            if found.hive is not None:
                return found
        direct = Finding("unknown", "it is reached through a tunnel alone")
        if goes_directly(beehive):
            direct = await probe(beehive, self._credentials)
            if direct.hive is not None:
                self._tunnels.close(beehive.node_name)
            if direct.hive is not None or direct.status not in _SILENT:
                return direct
        if not self._tunnels.possible or not may_have_tunnel(beehive):
            if goes_directly(beehive):
                return direct
            return Finding("offline", "a queen that listens on loopback alone has no tunnels: set server.host")
        tunnel = self._tunnels.open(beehive, changed)
        await tunnel.settled()
        found = await self._through(beehive, tunnel, hive_id)
        # What has answered directly, if only the machine's SSH server, is better known.
        return found if tunnel.is_open or direct.status == "unknown" else found._replace(status=direct.status)

    async def queen_url(self, beehive: Beehive, url: str) -> str:
        """Under which address a machine reaches the queen: her own, else the end of its tunnel, which is opened.

        Args:
            beehive: the machine.
            url: the queen's.

        Raises:
            RbeeError: there is no tunnel, and why.
        """
        if not self._tunnels.possible or not may_have_tunnel(beehive):
            return url
        tunnel = self._tunnels.open(beehive)
        await tunnel.settled()
        if beehive.reach_wanted is None and await self._reaches_her(tunnel, url):
            return url
        return await tunnel.leads_back()

    async def _reaches_her(self, tunnel: Tunnel, url: str) -> bool:
        """Whether the machine itself reaches the queen: who connects from there finds her."""
        parts = urllib.parse.urlsplit(url)
        try:
            door = await tunnel.open(parts.hostname or "", parts.port or 443)
            there = Transport(
                f"https://127.0.0.1:{door}", self._credentials.without_token(), QUEEN, timeout_s=_ANSWER_S
            )
            try:
                await there.call("GET", "/health", dict[str, Any])
            finally:
                await there.close()
        except RbeeError:
            return False
        return True

    def of(self, hive_id: str, *, answers: bool) -> BeehiveReach | None:
        """How a hive is reached; None when that is not known.

        Args:
            hive_id: which.
            answers: the queen reaches it at present.
        """
        if self._roads.leads_through(hive_id):
            return "tunnel"
        return "direct" if answers else None

    def close(self, node_name: str) -> None:
        """A machine is not to be reached any more."""
        self._tunnels.close(node_name)

    def tunnel_port(self, node_name: str) -> int | None:
        """The port of a machine's loopback that leads to the queen; None when there is none."""
        tunnel = self._tunnels.get(node_name)
        return None if tunnel is None else tunnel.port_there

    async def _through(self, beehive: Beehive, tunnel: Tunnel, hive_id: str | None) -> Finding:
        if not tunnel.is_open:
            why = "it was lost" if tunnel.why is None else tunnel.why.message
            return Finding("offline", f"there is no SSH tunnel: {why}")
        port = beehive.hive_port or HIVE_PORT
        places = {} if tunnel.address is None else {(tunnel.address, port): None}
        for name in (hive_id, beehive.node_name):
            record = None if name is None else self._telemetry.get_hive_state(name)
            url = None if record is None else record.url
            if url is not None and url.startswith("https:"):
                parts = urllib.parse.urlsplit(url)
                places[parts.hostname or "", parts.port or 443] = None
        found = await probe_through(tunnel, list(places), self._credentials)
        if found.hive is not None:
            self._roads.lay(found.hive.hive.id, tunnel)
        return found


def goes_directly(beehive: Beehive) -> bool:
    """Whether a machine may be called at its own address.

    Behind another machine the same address may be somebody else's, who must not be sent the colony's token.
    """
    jumps = "proxy_jump" in beehive.labels or beehive.ssh_jump not in {None, "none"}
    return beehive.ssh_host is not None and beehive.reach_wanted != "tunnel" and not jumps


def may_have_tunnel(beehive: Beehive) -> bool:
    """Whether a tunnel to a machine may be opened: where the operator wants one, or has agreed on the host key."""
    if beehive.reach_wanted is None:
        return beehive.host_key_fingerprint is not None
    return beehive.reach_wanted == "tunnel"
