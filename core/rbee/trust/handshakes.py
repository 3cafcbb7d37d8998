"""TLS that looks at who the other side is once more, when OpenSSL has judged its certificate.

OpenSSL knows chain, name and time.  It does not know what was revoked, and goes on trusting an authority that was given
up as long as the process lives.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Self

from rbee.trust.names import Peer


class CheckedContext(ssl.SSLContext):
    """A context whose handshakes fail when the other side's certificate holds no more.

    Args:
        protocol: of `ssl`.
        judge: says who the holder of a certificate is, in DER; None when it is not to be believed.
    """

    judge: Callable[[bytes], Peer | None]

    def __new__(cls, protocol: int, judge: Callable[[bytes], Peer | None]) -> Self:
        """As `ssl.SSLContext` is made."""
        made = super().__new__(cls, protocol)
        made.judge = judge
        made.sslobject_class = _CheckedObject
        made.sslsocket_class = _CheckedSocket
        return made

    def __init__(self, protocol: int, judge: Callable[[bytes], Peer | None]) -> None:
        """All is done where it is made."""


class _CheckedObject(ssl.SSLObject):
    """For event loops."""

    def do_handshake(self) -> None:
        super().do_handshake()
        _check(self.context, self.getpeercert(binary_form=True))


class _CheckedSocket(ssl.SSLSocket):
    """For blocking sockets."""

    def do_handshake(self, block: bool = False) -> None:  # as in the standard library
        super().do_handshake(block)
        _check(self.context, self.getpeercert(binary_form=True))


def _check(context: ssl.SSLContext, der: bytes | None) -> None:
    """Raises ssl.SSLCertVerificationError: the certificate that was shown, if any was, is not to be believed."""
    if der is not None and isinstance(context, CheckedContext) and context.judge(der) is None:
        raise ssl.SSLCertVerificationError("certificate verify failed: it was revoked, or its authority given up")
