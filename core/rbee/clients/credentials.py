"""What a program or a person shows to the other programs of the colony."""

from __future__ import annotations

import ssl
from typing import Protocol


class TlsIdentity(Protocol):
    """A certificate of the colony's authority with its key, and whom it trusts."""

    def client_context(self) -> ssl.SSLContext:
        """For connections to others; a live object, which a renewed certificate is loaded into."""


class Credentials:
    """The colony's token, and the certificate of who asks.

    Args:
        token: sent as bearer token; None sends none.
        identity: shown where the other side speaks TLS; None shows none.
    """

    __slots__ = ("_identity", "token")

    def __init__(self, token: str | None = None, identity: TlsIdentity | None = None) -> None:
        self.token = token
        self._identity = identity

    def headers(self) -> dict[str, str]:
        """Sent with every request."""
        return {"authorization": f"Bearer {self.token}"} if self.token else {}

    def context(self, url: str) -> ssl.SSLContext | None:
        """For a connection to an address; None where it speaks no TLS, or this side has no certificate to show."""
        if not url.startswith("https:") or self._identity is None:
            return None
        return self._identity.client_context()
