"""Proofs of having a key, where TLS gives none: for who joins, and for whose certificate has ended."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rbee.contract.errors import AuthenticationError
from rbee.trust.authority import Authority
from rbee.trust.certificates import Key, check_signed, key_fingerprint, peer_of, read_request
from rbee.trust.names import Peer

_LARGEST = 16 * 1024
_PROOF = ec.ECDSA(hashes.SHA256())


def key_of_request(request: bytes) -> str:
    """``SHA256:`` and the digest of a request's public key, by which people tell machines apart.

    Raises:
        InvalidRequestError: the request will not do.
    """
    return key_fingerprint(read_request(request).public_key())


def prove(key: Key, request: bytes) -> str:
    """A signature over a request, by the key of the certificate that it replaces, in base64."""
    return base64.b64encode(key.sign(request, _PROOF)).decode("ascii")


def check_proof(
    authority: Authority, certificate: bytes, request: bytes, proof: str, now: datetime, grace: timedelta
) -> Peer:
    """Whose certificate it is, that has ended and may be renewed.

    Args:
        authority: has signed it.
        certificate: PEM.
        request: for the new one, PEM.
        proof: as `prove` makes it.
        now: the time.
        grace: for how long after its end it may be renewed.

    Raises:
        AuthenticationError: it is not one of the colony's, ended too long ago, was revoked, or the key is not there.
    """
    refused = AuthenticationError(
        "The certificate cannot be renewed: it is not of this colony's authority, ended too long ago, was revoked, or "
        "was shown without proof of its key. Let the machine join again: rbee hive invite, on the queen's machine."
    )
    if len(certificate) > _LARGEST:
        raise refused
    try:
        shown = x509.load_pem_x509_certificate(certificate)
        check_signed(shown, authority.roots())
        key = shown.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise refused
        key.verify(base64.b64decode(proof, validate=True), request, _PROOF)
        peer = peer_of(shown.public_bytes(serialization.Encoding.DER))
    except (ValueError, binascii.Error, InvalidSignature, AuthenticationError) as error:
        raise refused from error
    entry = authority.issued.find(shown.serial_number)
    if peer is None or entry is None or entry.revoked_at is not None or now > shown.not_valid_after_utc + grace:
        raise refused
    return peer
