"""Certificates and keys: made, read, judged.  Elliptic curve P-256 throughout (RFC 5480), SHA-256 signatures."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rbee.contract.errors import AuthenticationError, ConfigurationError, InvalidRequestError
from rbee.trust.names import Peer, Role, internal_name, read_uri, uri_of

EARLY = timedelta(minutes=5)
"""What is signed holds from before its making on: clocks of machines differ."""
"""Clocks of two machines may differ by so much without a fresh certificate being refused for it."""
_LARGEST_REQUEST = 16 * 1024
_LONGEST_SUBJECT = 256

Key = ec.EllipticCurvePrivateKey


def new_key() -> Key:
    """A fresh private key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: Key) -> bytes:
    """A private key, PKCS #8, not encrypted: the file's mode protects it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_key(pem: bytes, what: str) -> Key:
    """A private key.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{what} is no private key in PEM.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigurationError(f"{what} is no elliptic curve key.")
    return key


def read_certificates(pem: bytes, what: str) -> list[x509.Certificate]:
    """Certificates, at least one.

    Raises:
        ConfigurationError: there are none, or they are damaged.
    """
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ConfigurationError(f"{what} is no certificate in PEM.") from error


def pem_of(certificates: Sequence[x509.Certificate]) -> bytes:
    """Certificates one after the other."""
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def fingerprint(certificate: x509.Certificate) -> str:
    """``SHA256:`` and the digest of the certificate in base64 without padding, as OpenSSH writes those of keys."""
    return _shown(certificate.fingerprint(hashes.SHA256()))


def public_der(key: CertificatePublicKeyTypes) -> bytes:
    """A public key as DER (SubjectPublicKeyInfo): equal for equal keys."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_fingerprint(key: CertificatePublicKeyTypes) -> str:
    """The same of a public key, by which people tell machines apart that have no certificate yet."""
    return _shown(hashlib.sha256(public_der(key)).digest())


def key_id(certificate: x509.Certificate) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of its public key."""
    return hashlib.sha256(public_der(certificate.public_key())).hexdigest()[:16]


def make_root(key: Key, colony: str, now: datetime, years: int) -> x509.Certificate:
    """An authority's own certificate: it may sign those of programs, and no other authority's."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"rbee colony {colony}")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLY)
        .not_valid_after(now + timedelta(days=365 * years))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def make_request(key: Key) -> bytes:
    """A request for a certificate (PKCS #10, RFC 2986), in PEM.  It names nobody: who signs says whose it is."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def read_request(pem: bytes) -> x509.CertificateSigningRequest:
    """A request whose sender holds its key.

    Raises:
        InvalidRequestError: it is none, too large, of another kind of key, or not signed by it.
    """
    if len(pem) > _LARGEST_REQUEST:
        raise InvalidRequestError(f"A request for a certificate has at most {_LARGEST_REQUEST} bytes.", param="csr")
    try:
        request = x509.load_pem_x509_csr(pem)
        key = request.public_key()
        good = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
        good = good and request.is_signature_valid
    except ValueError as error:
        raise InvalidRequestError("That is no request for a certificate in PEM (PKCS #10).", param="csr") from error
    if not good:
        raise InvalidRequestError("The request must be of a P-256 key, and signed by it.", param="csr")
    return request


def sign(
    request: x509.CertificateSigningRequest,
    role: Role,
    subject: str,
    names: Sequence[str],
    *,
    root: x509.Certificate,
    key: Key,
    now: datetime,
    lifetime: timedelta,
) -> x509.Certificate:
    """A program's certificate.

    Args:
        request: with its key.
        role: what it is.
        subject: its id.
        names: further names and addresses under which it is called, by browsers for example.
        root: the authority's own.
        key: the authority's.
        now: with a time zone.
        lifetime: from now on.

    Raises:
        InvalidRequestError: the id is empty or too long.
    """
    if not 0 < len(subject) <= _LONGEST_SUBJECT:
        raise InvalidRequestError(f"An id has 1 to {_LONGEST_SUBJECT} characters.", param="id")
    alternatives: list[x509.GeneralName] = [
        x509.UniformResourceIdentifier(uri_of(role, subject)),
        x509.DNSName(internal_name(role, subject)),
        *(_general(name) for name in dict.fromkeys(names)),
    ]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"rbee {role}")]))
        .issuer_name(root.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLY)
        .not_valid_after(min(now + lifetime, root.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def peer_of(der: bytes) -> Peer | None:
    """Who a certificate, in DER, is for; None when it is not one of a colony's program.

    Whether it is to be believed was judged before, by TLS.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return None
    for uri in names.get_values_for_type(x509.UniformResourceIdentifier):
        found = read_uri(uri)
        if found is not None:
            return Peer(*found, certificate.serial_number)
    return None


def check_signed(certificate: x509.Certificate, roots: Sequence[x509.Certificate]) -> None:
    """Whether one of some authorities has signed a certificate, whatever the time.

    Raises:
        AuthenticationError: none has.
    """
    for root in roots:
        try:
            certificate.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return
    raise AuthenticationError("The certificate is not of this colony's authority.")


def _shown(digest: bytes) -> str:
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
