from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from rbee.contract.errors import ConfigurationError
from rbee.eventloop import fast_loop
from rbee.trust.authority import Authority
from rbee.trust.certificates import peer_of
from rbee.trust.identity import Identity
from rbee.trust.names import Peer, Role, internal_name

DAY = timedelta(days=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "ca")
    made.open()
    return made


def enrolled(folder: Path, authority: Authority, role: Role, subject: str, lifetime: timedelta = DAY) -> Identity:
    made = Identity(folder)
    key, request = made.ask()
    made.take(key, authority.issue(request, role, subject, [], lifetime).certificate, authority.roots_pem())
    return made


@contextlib.asynccontextmanager
async def serving(identity: Identity) -> AsyncIterator[int]:
    """A server that answers each line with who has sent it."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        peer = None if der is None else peer_of(der)
        with contextlib.suppress(ConnectionError):
            while await reader.readline():
                writer.write(f"{peer.role}/{peer.id}\n".encode() if peer else b"nobody\n")
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=identity.server_context())
    async with server:
        yield server.sockets[0].getsockname()[1]


async def said(port: int, name: str, identity: Identity) -> str:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=identity.client_context(), server_hostname=name
    )
    try:
        writer.write(b"hello\n")
        return (await reader.readline()).decode().strip()
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


async def test_both_sides_know_who_the_other_is(tmp_path: Path, authority: Authority) -> None:
    queen = enrolled(tmp_path / "q", authority, Role.QUEEN, "queen")
    hive = enrolled(tmp_path / "h", authority, Role.HIVE, "attic")
    async with serving(queen) as port:
        assert await said(port, internal_name(Role.QUEEN), hive) == "hive/attic"


async def test_who_has_no_certificate_may_call_and_is_nobody(tmp_path: Path, authority: Authority) -> None:
    queen = enrolled(tmp_path / "q", authority, Role.QUEEN, "queen")
    laptop = Identity(tmp_path / "laptop")
    laptop.trust(authority.roots_pem())
    async with serving(queen) as port:
        assert await said(port, internal_name(Role.QUEEN), laptop) == "nobody"


async def test_one_hive_cannot_stand_in_for_another(tmp_path: Path, authority: Authority) -> None:
    queen = enrolled(tmp_path / "q", authority, Role.QUEEN, "queen")
    async with serving(enrolled(tmp_path / "h", authority, Role.HIVE, "attic")) as port:
        assert await said(port, internal_name(Role.HIVE, "attic"), queen) == "queen/queen"
        with pytest.raises(ssl.SSLCertVerificationError, match=r"[Hh]ostname"):
            await said(port, internal_name(Role.HIVE, "cellar"), queen)


async def test_another_colony_is_not_trusted_from_either_side(tmp_path: Path, authority: Authority) -> None:
    other = Authority(tmp_path / "other")
    other.open()
    stranger = enrolled(tmp_path / "s", other, Role.HIVE, "attic")
    async with serving(enrolled(tmp_path / "q", authority, Role.QUEEN, "queen")) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await said(port, internal_name(Role.QUEEN), stranger)
        # Also when it believes everybody: its own certificate is not believed here.
        stranger.trust(authority.roots_pem())
        heard = ""
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            heard = await said(port, internal_name(Role.QUEEN), stranger)
        assert not heard


async def test_a_certificate_that_has_ended_is_refused(tmp_path: Path, authority: Authority) -> None:
    late = enrolled(tmp_path / "q", authority, Role.QUEEN, "queen", timedelta(seconds=-60))
    hive = enrolled(tmp_path / "h", authority, Role.HIVE, "attic")
    async with serving(late) as port:
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            await said(port, internal_name(Role.QUEEN), hive)


async def test_a_renewed_certificate_holds_from_the_next_connection_on_and_open_ones_go_on(
    tmp_path: Path, authority: Authority
) -> None:
    hive = enrolled(tmp_path / "h", authority, Role.HIVE, "attic")
    queen = enrolled(tmp_path / "q", authority, Role.QUEEN, "queen")
    async with serving(queen) as port:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=hive.client_context(), server_hostname=internal_name(Role.QUEEN)
        )
        before = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        key, request = queen.ask()
        queen.take(key, authority.issue(request, Role.QUEEN, "queen", [], DAY).certificate, authority.roots_pem())
        writer.write(b"still there?\n")
        assert await reader.readline() == b"hive/attic\n"
        writer.close()
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=hive.client_context(), server_hostname=internal_name(Role.QUEEN)
        )
        assert writer.get_extra_info("ssl_object").getpeercert(binary_form=True) != before
        writer.close()


async def test_after_a_new_authority_old_and_new_understand_each_other(tmp_path: Path, authority: Authority) -> None:
    queen = enrolled(tmp_path / "q", authority, Role.QUEEN, "queen")
    old = enrolled(tmp_path / "h", authority, Role.HIVE, "attic")
    authority.rotate(timedelta())
    new = enrolled(tmp_path / "n", authority, Role.HIVE, "cellar")
    queen.trust(authority.roots_pem())
    async with serving(queen) as port:
        assert await said(port, internal_name(Role.QUEEN), old) == "hive/attic"
        assert await said(port, internal_name(Role.QUEEN), new) == "hive/cellar"


def test_who_is_believed_is_judged_anew_when_trust_has_changed(tmp_path: Path, authority: Authority) -> None:
    queen = enrolled(tmp_path / "q", authority, Role.QUEEN, "queen")
    hive = enrolled(tmp_path / "h", authority, Role.HIVE, "attic")
    der = ssl.PEM_cert_to_DER_cert(hive.certificate_pem().decode())
    assert queen.judge(der) == hive.peer
    queen.revoke(frozenset({hive.peer.serial}))
    assert queen.judge(der) is None
    queen.revoke(frozenset())
    authority.rotate(DAY, at_once=True)
    queen.trust(authority.roots_pem())
    # TLS itself goes on believing what it once did, until the program is started anew.
    assert queen.judge(der) is None
    assert queen.judge(b"nonsense") is None


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, fast_loop() or asyncio.new_event_loop])
def test_who_was_revoked_is_refused_from_either_side(
    tmp_path: Path, authority: Authority, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    queen = enrolled(tmp_path / "q", authority, Role.QUEEN, "queen")
    hive = enrolled(tmp_path / "h", authority, Role.HIVE, "attic")
    cellar = enrolled(tmp_path / "c", authority, Role.HIVE, "cellar")

    async def check() -> None:
        async with serving(queen) as to_queen, serving(hive) as to_hive:
            assert await said(to_queen, internal_name(Role.QUEEN), hive) == "hive/attic"
            assert await said(to_hive, internal_name(Role.HIVE, "attic"), queen) == "queen/queen"
            # Another process of the queen's home, or her own, was told; the contexts are what they were.
            Identity(tmp_path / "q").revoke(frozenset({hive.peer.serial}))
            heard = ""
            with contextlib.suppress(ssl.SSLError, ConnectionError):
                heard = await said(to_queen, internal_name(Role.QUEEN), hive)
            assert not heard
            with pytest.raises(ssl.SSLCertVerificationError, match="revoked"):
                await said(to_hive, internal_name(Role.HIVE, "attic"), queen)
            assert await said(to_queen, internal_name(Role.QUEEN), cellar) == "hive/cellar"

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(check())


def test_half_of_its_time_is_when_it_wants_a_new_one(tmp_path: Path, authority: Authority) -> None:
    hive = enrolled(tmp_path / "h", authority, Role.HIVE, "attic")
    assert not hive.wants_renewal(hive.expires_at - timedelta(hours=13))
    assert hive.wants_renewal(hive.expires_at - timedelta(hours=11))
    assert Identity(tmp_path / "h").peer == Peer(Role.HIVE, "attic", hive.peer.serial)


def test_who_has_joined_no_colony_is_told_how(tmp_path: Path) -> None:
    nobody = Identity(tmp_path / "nobody")
    assert not nobody.exists
    with pytest.raises(ConfigurationError, match="rbee hive invite"):
        nobody.server_context()


def test_a_certificate_of_another_key_is_not_taken(tmp_path: Path, authority: Authority) -> None:
    hive = Identity(tmp_path / "h")
    _, request = hive.ask()
    other, _ = hive.ask()
    made = authority.issue(request, Role.HIVE, "attic", [], DAY)
    with pytest.raises(ConfigurationError, match="another key"):
        hive.take(other, made.certificate, authority.roots_pem())
    assert not hive.exists


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"]
)
def test_a_damaged_file_is_named(tmp_path: Path, authority: Authority, content: bytes) -> None:
    enrolled(tmp_path / "h", authority, Role.HIVE, "attic")
    (tmp_path / "h" / "identity.pem").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"identity\.pem"):
        Identity(tmp_path / "h").open()
