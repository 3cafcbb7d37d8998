"""Joining a colony: from an invitation to a certificate of this machine's own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Self

from rbee.clients import CertificatesClient, Credentials, Transport
from rbee.clients.who import QUEEN, Who
from rbee.contract.errors import AuthenticationError, InvalidRequestError
from rbee.settings import Folders
from rbee.trust.certificates import fingerprint, pem_of, read_certificates
from rbee.trust.identity import Identity

_ASK_AGAIN_S = 2.0


class _Anybody:
    """Trusts whoever answers: only what is public is asked, and judged by its fingerprint."""

    exists = False
    trusts = True

    def client_context(self: Self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context

    anybody_context = client_context


async def join(
    folders: Folders,
    url: str,
    token: str,
    ca_fingerprint: str,
    hive_id: str,
    on_waiting: Callable[[str], None] = lambda _: None,
) -> Identity:
    """Get this machine's certificate from the queen.

    The token is sent only to one who proves to be the queen of the colony whose authority has that fingerprint.

    Args:
        folders: of this home.
        url: the queen's, ``https://...``.
        token: of the invitation.
        ca_fingerprint: of the colony's authority, ``SHA256:...``.
        hive_id: as which hive.
        on_waiting: called once with what this machine's key hashes to, when an operator is to approve it first.

    Raises:
        InvalidRequestError: the address is not one of TLS.
        AuthenticationError: the authority is another one, or the invitation does not hold.
        UnreachableError: nobody answers.
    """
    if not url.startswith("https://"):
        raise InvalidRequestError(
            f"{url!r} is no https:// address: a colony is joined over TLS alone. `rbee hive invite` prints the right "
            "one."
        )
    stranger = Transport(url, Credentials(None, _Anybody()), Who("The queen"))
    try:
        told = await CertificatesClient(stranger).info()
    finally:
        await stranger.close()
    roots = read_certificates(told.roots.encode(), f"What the queen at {url} says to trust")
    if ca_fingerprint not in {fingerprint(root) for root in roots}:
        raise AuthenticationError(
            f"Who answers at {url} is of another colony: the fingerprint of its authority is "
            f"{told.fingerprint!r}, and not {ca_fingerprint!r}. Nothing was sent. Compare with `rbee ca show` on the "
            "queen's machine."
        )
    identity = Identity(folders.config / "identity")
    trusted = [root for root in roots if fingerprint(root) == ca_fingerprint]
    key, request = identity.ask()
    queen = Transport(url, Credentials(None, _Only(pem_of(trusted))), QUEEN)
    try:
        given = None
        while given is None:
            enrolled = await CertificatesClient(queen).enrol(token, hive_id, request.decode("ascii"))
            given = enrolled.given
            if given is None:
                on_waiting(enrolled.key)
                on_waiting = _say_nothing
                await asyncio.sleep(_ASK_AGAIN_S)
    finally:
        await queen.close()
    identity.take(key, given.certificate.encode(), given.roots.encode())
    identity.revoke(frozenset(int(serial, 16) for serial in given.revoked))
    identity.remember_queen(url)
    return identity


def _say_nothing(_: str) -> None:
    """It was said."""


class _Only:
    """Trusts one authority, and shows nothing.

    Args:
        roots: PEM.
    """

    exists = False
    trusts = True

    def __init__(self, roots: bytes) -> None:
        self._roots = roots

    def client_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(cadata=self._roots.decode("ascii"))
        return context

    anybody_context = client_context
