"""Addresses: which are one place, which are of this machine or its network, and where a redirect may lead."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urljoin
from urllib.request import getproxies, proxy_bypass

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from rbee.contract.errors import UnreachableError

MOST_REDIRECTS = 5

_PORTS = (("http", 80), ("https", 443))


def parsed(url: str) -> Url:
    """The parts of an ``http(s)`` address, read as they are read for connecting.

    Raises:
        UnreachableError: it is no such address.
    """
    try:
        parts = parse_url(url)
        # As connecting and resolving write it: a part of the name may be too long for that, or missing.
        (parts.host or "").encode("idna")
    except (LocationParseError, UnicodeError) as error:
        raise UnreachableError("The address of a file cannot be read; write it as https://host/path.") from error
    if parts.scheme not in {"http", "https"} or not parts.host:
        raise UnreachableError(
            f"A file at {parts.scheme}:// cannot be fetched; write its address as https://host/path."
        )
    return parts


def origin(url: Url) -> tuple[str, str, int]:
    """Scheme, host and port: what a secret is meant for."""
    scheme, host = url.scheme or "", (url.host or "").rstrip(".").lower()
    return scheme, host, url.port or dict(_PORTS)[scheme]


def next_address(start: Url, here: Url, location: str, *, direct: bool) -> Url:
    """Where a redirect leads.  May ask the name service.

    Args:
        start: the address that was first asked.
        here: the one that answers with the redirect.
        location: what it says.
        direct: proxies are not used.

    Raises:
        UnreachableError: nobody may be led there: it is not encrypted while `here` is, or it is an address of this
            machine or its network while `start` is none.
    """
    try:
        there = parsed(urljoin(here.url, location))
    except ValueError as error:
        raise UnreachableError(f"{here.host!r} leads to an address that cannot be read.") from error
    if here.scheme == "https" and there.scheme != "https":
        raise UnreachableError(f"{here.host!r} leads from https to an address that is not encrypted; refused.")
    if origin(there) != origin(start) and is_inner(there, direct=direct) and not is_inner(start, direct=direct):
        raise UnreachableError(f"{here.host!r} leads to {there.host!r}, an address of a private network; refused.")
    return there


def is_inner(url: Url, *, direct: bool) -> bool:
    """Whether an address is of this machine or of a private network.

    A name is resolved, unless a proxy is to do that.

    Raises:
        OSError: the name cannot be resolved.
    """
    host = _bare(url)
    if (literal := _literal(host)) is not None:
        return not _is_public(literal)
    if _is_loopback_name(host):
        return True
    if not direct and proxy_for(url) is not None:
        return False
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return any(not _is_public(ipaddress.ip_address(str(one[4][0]).partition("%")[0])) for one in found)


def is_loopback(url: Url | str) -> bool:
    """Whether an address is of this very machine, as far as can be told from how it is written.

    Raises:
        UnreachableError: it is no ``http(s)`` address.
    """
    host = _bare(parsed(url) if isinstance(url, str) else url)
    literal = _literal(host)
    return _is_loopback_name(host) if literal is None else literal.is_loopback


def proxy_for(url: Url) -> str | None:
    """The proxy that this machine's settings name for an address; never one for this very machine."""
    if is_loopback(url):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme or "") or proxies.get("all")
    if not proxy or proxy_bypass(f"{url.host}:{origin(url)[2]}"):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _bare(url: Url) -> str:
    return (url.host or "").strip("[]").partition("%")[0].rstrip(".").lower()


def _is_loopback_name(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            # Older ways to write one, which connecting understands: 127.1, 0x7f000001, 2130706433.
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_global
