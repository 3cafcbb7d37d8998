"""Sockets to listen on, taken before anything else starts."""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from collections.abc import Iterator
from typing import NamedTuple

from rbee.contract.errors import ConfigurationError, PortTakenError
from rbee.http.guard import is_loopback

_BACKLOG = 2048
_LOOK_S = 0.5
_SHARING = ("darwin", "freebsd", "openbsd", "netbsd", "dragonfly")
"""Systems on which, with SO_REUSEADDR, an address and the wildcard may listen on one port at the same time."""


_EVERYWHERE = frozenset({"0.0.0.0", "::"})


class Entrance(NamedTuple):
    """A listening socket, and whether TLS is spoken there."""

    sock: socket.socket
    tls: bool


def listen_private(
    host: str, port: int, what: str, setting: str | None = None, *, shared: bool = False
) -> list[Entrance]:
    """Sockets for a program: on loopback in plain text, and on any other address over TLS, at the same port.

    Args:
        host: address.
        port: 0 takes a free one.
        what: who wants it, for the message.
        setting: name of the setting that chooses the port, for the message.
        shared: `listen_too` may follow, with the first of them.

    Returns:
        The one that was asked for, then those on loopback.

    Raises:
        PortTakenError, ConfigurationError: as `listen`.
    """
    if is_loopback(host):
        return [Entrance(listen(host, port, what, setting, shared=shared), tls=False)]
    everywhere = host in _EVERYWHERE
    # The system prefers the closer address of two that share a port.
    found = [Entrance(listen(host, port, what, setting, shared=shared or everywhere), tls=True)]
    port = port_of(found[0].sock)
    try:
        for near in ("127.0.0.1", "::1") if host == "::" else ("127.0.0.1",):
            family = socket.AF_INET6 if ":" in near else socket.AF_INET
            near_sock = _listen_shared(family, near, port) if everywhere else listen(near, port, what, setting)
            found.append(Entrance(near_sock, tls=False))
    except OSError as error:
        for one in found:
            one.sock.close()
        raise _taken(port, what, setting) from error
    except PortTakenError:
        for one in found:
            one.sock.close()
        raise
    return found


def listen(host: str, port: int, what: str, setting: str | None = None, *, shared: bool = False) -> socket.socket:
    """A listening socket.

    Args:
        host: address.
        port: 0 takes a free one.
        what: who wants it, for the message.
        setting: name of the setting that chooses the port, for the message.
        shared: `listen_too` may follow.

    Raises:
        PortTakenError: somebody listens there; the message says who, where the system tells.
        ConfigurationError: the address is not one of this machine's.
    """
    if port and shares_ports(sys.platform) and _answers(host, port):
        raise _taken(port, what, setting)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only where it is: without it, an answer in several
    # pieces waits 40 ms for an acknowledgement.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Only against lingering connections of a predecessor: two listeners still exclude each other.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise _taken(port, what, setting) from error
        raise ConfigurationError(f"{what} cannot listen on {host}:{port}: {error.strerror}.") from error
    if not shared:
        return sock
    # A shared one would be had beside another program that shares: that nobody was there is known only now.
    port = port_of(sock)
    sock.close()
    return _listen_shared(family, host, port)


def listen_too(sock: socket.socket) -> socket.socket:
    """One more listening socket on a shared one's port; the system spreads connections over all of them.

    Raises:
        OSError: it cannot be had.
    """
    host, port, *_ = sock.getsockname()
    return _listen_shared(sock.family, host, port)


def _listen_shared(family: int, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def shares_ports(platform: str) -> bool:
    """Whether the system would let two programs have one port, so that only calling it tells."""
    return platform.startswith(_SHARING)


def _answers(host: str, port: int) -> bool:
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        socket.create_connection((target, port), _LOOK_S).close()
    except OSError:
        return False
    return True


def _taken(port: int, what: str, setting: str | None) -> PortTakenError:
    hint = f" Free it, or set {setting} to another port." if setting else ""
    return PortTakenError(f"Port {port} for {what} is taken by {holder_of(port)}.{hint}", details={"port": port})


def holder_of(port: int) -> str:
    """Who listens on a port, as far as the system tells this user."""
    # Late: every command imports this module, and only a taken port needs that one.
    import psutil

    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
                if connection.pid is None:
                    break
                name = psutil.Process(connection.pid).name()
                return f"process {connection.pid} ({name})"
    except (psutil.Error, OSError):
        pass
    return "another process (the system does not tell which)"


def port_of(sock: socket.socket) -> int:
    """The port a socket listens on."""
    return int(sock.getsockname()[1])


def url_of(host: str, port: int) -> str:
    """Base address of a program for others on this machine or, where it listens more widely, on the network."""
    if host in _EVERYWHERE:
        host = advertised_address()
    # A machine without a network has its loopback alone, and that is plain text.
    scheme = "http" if is_loopback(host) else "https"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def near_url(host: str, port: int) -> str:
    """Base address of a program for others on this machine: in plain text, which stays there."""
    return url_of(host if is_loopback(host) else "127.0.0.1", port)


def advertised_address() -> str:
    """An address of this machine that others can reach: that of the interface with the default route.

    Where there is none, as on a network that leads nowhere, that of the first interface which is up.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # A datagram socket only looks up a route here; nothing is sent.
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return next(_addresses_up(), "127.0.0.1")


def _addresses_up() -> Iterator[str]:
    # Late: only a machine without a default route needs it.
    import psutil

    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    for name, addresses in psutil.net_if_addrs().items():
        for one in addresses:
            if name in up and one.family is socket.AF_INET and not ipaddress.ip_address(one.address).is_loopback:
                yield one.address
