"""A certificate that the operator brings: shown to strangers, read anew when it changes."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from rbee.contract.errors import ConfigurationError
from rbee.trust.authority import Authority
from rbee.trust.identity import Identity
from rbee.trust.names import Role, internal_name
from rbee.trust.operators import OperatorsCertificate

NAME = "llm.example.org"


def bring(
    folder: Path, common: str = "first", *, days: int = 30, passphrase: bytes | None = None
) -> OperatorsCertificate:
    """A certificate that signs itself, as from a public authority."""
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME), x509.DNSName("*.example.org")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    locked = serialization.NoEncryption() if passphrase is None else serialization.BestAvailableEncryption(passphrase)
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    )
    (folder / "key.pem").chmod(0o600)
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return OperatorsCertificate(folder / "cert.pem", folder / "key.pem")


@pytest.fixture
def queen(tmp_path: Path) -> Identity:
    authority = Authority(tmp_path / "ca")
    authority.open()
    made = Identity(tmp_path / "queen")
    key, request = made.ask()
    given = authority.issue(request, Role.QUEEN, "queen", [], timedelta(days=1))
    made.take(key, given.certificate, authority.roots_pem())
    return made


@contextlib.asynccontextmanager
async def serving(identity: Identity) -> AsyncIterator[int]:
    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0, ssl=identity.server_context())
    async with server:
        yield server.sockets[0].getsockname()[1]


async def shown(port: int, name: str | None) -> str:
    """Who the server says to be, to a caller by that name who believes anything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name or "")
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(der).subject.rfc4514_string()
    finally:
        writer.close()


async def test_who_calls_by_a_name_of_the_world_sees_what_was_brought_and_programs_see_the_colonys(
    tmp_path: Path, queen: Identity
) -> None:
    queen.show_to_others(bring(tmp_path / "own"))
    async with serving(queen) as port:
        assert await shown(port, NAME) == "CN=first"
        assert await shown(port, internal_name(Role.QUEEN)) != "CN=first"
        assert await shown(port, None) != "CN=first"


async def test_a_renewed_one_is_shown_without_a_restart(
    tmp_path: Path, queen: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rbee.trust.operators._LOOK_S", 0.0)
    queen.show_to_others(bring(tmp_path / "own"))
    async with serving(queen) as port:
        assert await shown(port, NAME) == "CN=first"
        bring(tmp_path / "own", "second")
        assert await shown(port, NAME) == "CN=second"


async def test_one_that_is_half_written_leaves_the_one_before(
    tmp_path: Path, queen: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rbee.trust.operators._LOOK_S", 0.0)
    queen.show_to_others(bring(tmp_path / "own"))
    async with serving(queen) as port:
        (tmp_path / "own" / "cert.pem").write_text("-----BEGIN CERT")
        assert await shown(port, NAME) == "CN=first"


def test_its_names_are_told_but_for_patterns(tmp_path: Path) -> None:
    assert bring(tmp_path / "own").names() == (NAME,)


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda own: (own / "cert.pem").unlink(), r"cert\.pem.*tls_certificate.*cannot be read: No such file"),
        (lambda own: (own / "key.pem").unlink(), r"key\.pem.*tls_key.*cannot be read: No such file"),
        (lambda own: (own / "cert.pem").write_text("no"), r"cert\.pem.*no certificate in PEM"),
        (lambda own: (own / "key.pem").write_text("no"), r"do not belong together, or one is damaged"),
        (lambda own: (own / "key.pem").chmod(0o604), r"can be read by others\. Run: chmod"),
        (lambda own: bring(own / "o") and (own / "o" / "key.pem").rename(own / "key.pem"), r"do not belong together"),
        (lambda own: bring(own, days=-1), r"ended on \d{4}-"),
        (lambda own: bring(own, passphrase=b"secret"), r"asks for a passphrase"),
    ],
    ids=["no certificate", "no key", "not PEM", "key not PEM", "open key", "another key", "ended", "passphrase"],
)
def test_what_will_not_do_is_refused_with_the_reason(tmp_path: Path, queen: Identity, spoil, match: str) -> None:
    own = bring(tmp_path / "own")
    spoil(tmp_path / "own")
    with pytest.raises(ConfigurationError, match=match):
        queen.show_to_others(own)
