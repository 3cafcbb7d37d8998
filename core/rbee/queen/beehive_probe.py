"""One try to reach a beehive: does its hive answer, or at least its machine?"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx2
import msgspec

from rbee.beehives import HIVE_PORT, SSH_PORT, Beehive, BeehiveReach, BeehiveStatus
from rbee.clients import Credentials, Transport
from rbee.clients.credentials import is_tls
from rbee.clients.who import SOME_HIVE, Who, the_hive
from rbee.contract.errors import AuthenticationError, RbeeError, UnreachableError
from rbee.contract.wire import HiveCapabilities
from rbee.http.guard import is_loopback
from rbee.queen.tunnels import Tunnel
from rbee.trust.names import Role

_ANSWER_S = 5.0
_CONNECT_S = 3.0
_MOST_ADDRESSES = 4


class Finding(NamedTuple):
    """What a try has found.

    Attributes:
        status: as the registry keeps it.
        detail: for a person: what answered, or why nothing did.
        url: of the hive that answered, or of what else did.
        hive: what the hive says of itself and its devices.
        reach: how it was reached; None when it was not.
    """

    status: BeehiveStatus
    detail: str
    url: str | None = None
    hive: HiveCapabilities | None = None
    reach: BeehiveReach | None = None


async def probe(beehive: Beehive, credentials: Credentials) -> Finding:
    """Try once.  The machine's name is resolved anew: addresses change, and a hive knows itself by its address.

    Args:
        beehive: with a host.
        credentials: shown to the others.
    """
    if beehive.ssh_host is None:
        return Finding("unknown", "no host was entered")
    port = beehive.hive_port or HIVE_PORT
    try:
        addresses = await _addresses(beehive.ssh_host)
    except (OSError, UnicodeError, TimeoutError):
        return Finding("offline", f"the name {beehive.ssh_host!r} cannot be resolved")
    for address in addresses:
        finding = await _ask(url_at(address, port), credentials)
        if finding is not None:
            return finding
    ssh_port = beehive.ssh_port or SSH_PORT
    for address in addresses:
        if await _listens(address, ssh_port):
            return Finding("reachable", f"the SSH server answers, and no hive does at port {port}")
    return Finding("offline", f"nothing answers at port {port} or at the SSH port {ssh_port}")


async def probe_through(tunnel: Tunnel, places: Sequence[tuple[str, int]], credentials: Credentials) -> Finding:
    """Look for a hive through a tunnel that is open.

    Args:
        tunnel: to its machine.
        places: where it may listen, as its machine sees that; never its loopback, where plain text is spoken.
        credentials: shown to the others.
    """
    tried = []
    for host, port in places:
        if is_loopback(host):
            continue
        url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        try:
            finding = await _ask(f"https://127.0.0.1:{await tunnel.open(host, port)}", credentials)
        except RbeeError as error:
            return Finding("offline", error.message)
        if finding is not None and finding.hive is not None:
            detail = f"hive {finding.hive.hive.id!r} answers at {url} through the SSH tunnel"
            return Finding("online", detail, url, finding.hive, "tunnel")
        if finding is not None:
            return Finding(finding.status, f"{finding.detail}, through the SSH tunnel", url)
        tried.append(url)
    return Finding("reachable", f"the SSH tunnel is open, and no hive answers at {' or '.join(tried) or 'its end'}")


def url_at(host: str, port: int) -> str:
    """The address of a hive there: in plain text on this machine's loopback alone."""
    scheme = "http" if is_loopback(host) else "https"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


async def _addresses(host: str) -> list[str]:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_ANSWER_S):
        found = await loop.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    # An address of one link alone has a zone, which no URL of ours may hold.
    addresses = dict.fromkeys(str(one[4][0]) for one in found)
    return [address for address in addresses if "%" not in address][:_MOST_ADDRESSES]


async def _ask(url: str, credentials: Credentials) -> Finding | None:
    """What listens there; None when nothing does, or it says nothing."""
    who = SOME_HIVE
    try:
        if is_tls(url):
            peer = await credentials.peer_at(url)
            if peer is None:
                return None
            if peer.role is not Role.HIVE:
                return Finding("error", f"{url} is not a hive but a {peer.role}", url)
            who = the_hive(peer.id)
        health = await _get(url, credentials.without_token(), who, "/health", dict[str, Any])
        program, hive_id = health.get("program"), health.get("hive_id")
        if program != "hive" or not isinstance(hive_id, str) or not hive_id:
            return Finding("error", f"{url} is not a hive but {str(program or 'another program')[:40]!r}", url)
        hive = await _get(url, credentials, who, "/v1/capabilities", HiveCapabilities)
    except UnreachableError as error:
        if isinstance(error.__cause__, msgspec.DecodeError | httpx2.RemoteProtocolError):
            return Finding("error", f"{url} is another program, or another version", url)
        return None
    except AuthenticationError:
        return Finding("error", f"the hive at {url} has another token than this colony", url)
    except ssl.SSLError:
        return Finding("error", f"{url} speaks no TLS, or is of another colony", url)
    except RbeeError as error:
        return Finding("error", f"{url} is not a hive of this colony: {error.message}", url)
    return Finding("online", f"hive {hive.hive.id!r} answers at {url}", url, hive, "direct")


async def _get(url: str, credentials: Credentials, who: Who, path: str, kind: Any) -> Any:
    transport = Transport(url, credentials, who, timeout_s=_ANSWER_S)
    try:
        return await transport.call("GET", path, kind)
    finally:
        await transport.close()


async def _listens(address: str, port: int) -> bool:
    try:
        async with asyncio.timeout(_CONNECT_S):
            _, writer = await asyncio.open_connection(address, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
