"""Who may call what: the one check in front of every route of every program."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Collection
from enum import Enum

import msgspec

from rbee.contract.errors import AuthenticationError, InvalidRequestError, PermissionDeniedError
from rbee.http.roles import may
from rbee.trust.names import Peer, Role

_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")

Headers = list[tuple[bytes, bytes]]

_ROOT = ("GET", "/")


class Access(Enum):
    """What a route asks of its caller.

    `OPEN`: nothing but an acceptable Host.  `INFERENCE`: the token, unless the program listens on loopback alone.
    `CONTROL`: the token, always.
    """

    OPEN = "open"
    INFERENCE = "inference"
    CONTROL = "control"


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """Checks of Host, Origin and token.

    Attributes:
        token: the colony's; None where the program does not have it.
        token_sha256: its hash, in hexadecimal digits, for a program that does not have it; without both every control
            route is refused.
        host: address the program listens on.
        allowed_hosts: further names in the Host header, without port.
        allowed_origins: further web origins.
        require_token: ask for the token for inference on loopback too.
        role: what the program is, which decides what others may ask of it by their certificates.
    """

    token: str | None
    host: str
    token_sha256: str | None = None
    allowed_hosts: Collection[str] = ()
    allowed_origins: Collection[str] = ()
    require_token: bool = False
    role: Role | None = None

    def check(self, headers: Headers, access: Access, peer: Peer | None = None, asked: tuple[str, str] = _ROOT) -> None:
        """Let a request pass.

        Args:
            headers: of the request, names in lower case.
            access: what its route asks for.
            peer: who has sent it, by its certificate; None without one.
            asked: its method, and its path without prefix.

        Raises:
            InvalidRequestError: no Host header, or two.
            PermissionDeniedError: a foreign Host or Origin.
            AuthenticationError: no token or a wrong one, where one is needed.
        """
        self.check_place(headers)
        if peer is not None and access is not Access.OPEN and bearer(headers) is None:
            self.check_peer(peer, asked)
            return
        if access is Access.CONTROL or (access is Access.INFERENCE and self.asks_for_token):
            self.check_token(headers)

    def check_peer(self, peer: Peer, asked: tuple[str, str]) -> None:
        """Whether a program of the colony may ask for something.

        Raises:
            PermissionDeniedError: it is not for its kind.
        """
        if self.role is None or not may(self.role, peer, *asked):
            raise PermissionDeniedError(
                f"The {peer.role} {peer.id!r} may not call {asked[0]} {asked[1]!r} here: that is not for a {peer.role}."
            )

    @property
    def asks_for_token(self) -> bool:
        """Whether the token is needed for inference."""
        return self.require_token or not is_loopback(self.host)

    def check_place(self, headers: Headers) -> None:
        """Whether the request was meant for this program, and comes from a page that may call it.

        Raises:
            InvalidRequestError: no Host header, or two.
            PermissionDeniedError: a foreign Host or Origin.
        """
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1:
            raise InvalidRequestError("A request needs exactly one Host header.")
        self._check_host(hosts[0].decode("latin-1"))
        origin = next((value.decode("latin-1") for name, value in headers if name == b"origin"), None)
        if origin is not None:
            self._check_origin(origin, hosts[0].decode("latin-1"))

    def knows(self, headers: Headers) -> bool:
        """Whether the caller has sent the colony's token, where none was asked for."""
        given = bearer(headers)
        return given is not None and self.is_token(given)

    def is_token(self, given: bytes) -> bool:
        """Whether that is the colony's token; takes as long whether it is or not."""
        if self.token is not None:
            return hmac.compare_digest(given, self.token.encode())
        if self.token_sha256 is None:
            return False
        return hmac.compare_digest(hashlib.sha256(given).hexdigest(), self.token_sha256)

    def _check_host(self, value: str) -> None:
        """Against DNS rebinding: a page of a stranger can make its name point here, but not change the name."""
        if not _HOST.fullmatch(value.strip()):
            raise PermissionDeniedError(f"The Host {value!r} is not a name or address with an optional port.")
        name = host_name(value)
        if name == "localhost" or name in self.allowed_hosts:
            return
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            address = None
        # An address is no name that could be rebound; on a wildcard listener any of ours may be meant.
        if address is not None and (not is_loopback(self.host) or address.is_loopback):
            return
        if name == self.host:
            return
        raise PermissionDeniedError(
            f"The Host {value!r} is not one of this program's. Call it by its address, "
            "or add the name to the setting server.allowed_hosts."
        )

    def allows_origin(self, origin: str, host: str) -> bool:
        """Whether pages of an origin may call: the program's own, as the Host names it, and those of the setting."""
        return origin in self.allowed_origins or origin in {f"http://{host}", f"https://{host}"}

    def _check_origin(self, origin: str, host: str) -> None:
        if self.allows_origin(origin, host):
            return
        raise PermissionDeniedError(
            f"Pages of {origin!r} may not call this program. Add it to the setting server.allowed_origins to allow it."
        )

    def check_token(self, headers: Headers) -> None:
        """Whether the caller has the colony's token.

        Raises:
            AuthenticationError: no token or a wrong one.
        """
        given = bearer(headers)
        if given is None:
            raise AuthenticationError(
                "A token is required: send 'Authorization: Bearer TOKEN'. `rbee config path token` says where it is."
            )
        if not self.is_token(given):
            raise AuthenticationError(
                "The token is not this colony's. `rbee config path token` says where the right one is."
            )


def bearer(headers: Headers) -> bytes | None:
    """The token in ``Authorization: Bearer`` or ``x-api-key``, None when there is none."""
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip()
    return next((value.strip() for name, value in headers if name == b"x-api-key"), None)


def host_name(value: str) -> str:
    """The name in a Host header: lower case, without port, brackets and trailing dot."""
    text = value.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].rstrip(".")
