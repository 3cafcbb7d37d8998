"""What a program or a person shows to the other programs of the colony."""

from __future__ import annotations

import asyncio
import ssl
import urllib.parse
from typing import Protocol

from rbee.trust.names import Peer

_ANSWER_S = 5.0


class TlsIdentity(Protocol):
    """Whom to trust, and a certificate to show where there is one; `rbee.trust.identity.Identity` is one."""

    @property
    def exists(self) -> bool:
        """Whether there is a certificate to show."""

    @property
    def trusts(self) -> bool:
        """Whether it is known whom to trust."""

    def client_context(self) -> ssl.SSLContext:
        """For connections to others; a live object, which a renewed certificate is loaded into."""

    def anybody_context(self) -> ssl.SSLContext:
        """For connections to whichever program of the colony answers."""


class Credentials:
    """The colony's token, and the certificate of who asks.

    In plain text, which goes no further than this machine, the token is shown.  Over TLS a program shows its
    certificate and keeps the token to itself: who it calls may be a machine that is not to have it.  A person, who has
    no certificate, shows the token to the queen and the registry alone.

    Args:
        token: sent as bearer token; None sends none.
        identity: for TLS; None where none is spoken.
    """

    __slots__ = ("_identity", "token")

    def __init__(self, token: str | None = None, identity: TlsIdentity | None = None) -> None:
        self.token = token
        self._identity = identity

    def without_token(self) -> Credentials:
        """The certificate alone: for who may not be the one that is meant."""
        return Credentials(None, self._identity)

    def headers(self, url: str) -> dict[str, str]:
        """Sent with every request to an address."""
        if self.token is None or (is_tls(url) and self._identity is not None and self._identity.exists):
            return {}
        return {"authorization": f"Bearer {self.token}"}

    def raw_headers(self, url: str) -> tuple[tuple[bytes, bytes], ...]:
        """The same, as they are written."""
        return tuple((name.encode(), value.encode()) for name, value in self.headers(url).items())

    def context(self, url: str) -> ssl.SSLContext | None:
        """For connections to an address, which trusts the colony's authority alone.

        None where no TLS is spoken, and in a home that does not know the colony's authority: there the system's are
        trusted, as for a queen behind a server with a certificate of a public one.
        """
        if not is_tls(url) or self._identity is None or not self._identity.trusts:
            return None
        return self._identity.client_context()

    async def peer_at(self, url: str) -> Peer | None:
        """Which program of the colony answers at an address of TLS; None when nobody does.

        Raises:
            ssl.SSLError: who answers is of another colony, or speaks no TLS.
        """
        if self._identity is None or not self._identity.trusts:
            return None
        # Late: what reads certificates takes long to load.
        from rbee.trust.certificates import peer_of

        parts = urllib.parse.urlsplit(url)
        try:
            async with asyncio.timeout(_ANSWER_S):
                _, writer = await asyncio.open_connection(
                    parts.hostname, parts.port, ssl=self._identity.anybody_context(), server_hostname=""
                )
        except ssl.SSLError:
            raise
        except (OSError, TimeoutError):
            return None
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        return None if shown is None else peer_of(shown)


def is_tls(url: str) -> bool:
    """Whether TLS is spoken at an address."""
    return url.startswith("https:")
