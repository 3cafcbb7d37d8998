"""The queen's authority: whom she gives certificates, and whom she takes them from."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rbee.contract.errors import (
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
)
from rbee.contract.wire import Approval, CertificateWish, Enrolment, InvitationWish
from rbee.queen.certificates import Certificates
from rbee.queen.enrolling import Enrolling
from rbee.settings.model import SecuritySettings
from rbee.trust.authority import Authority
from rbee.trust.certificates import Key, make_request, new_key, peer_of
from rbee.trust.identity import Identity
from rbee.trust.names import Peer, Role
from rbee.trust.proofs import prove

DAY = timedelta(days=1)
HERE, THERE = "192.0.2.1", "192.0.2.2"


class Queen:
    """Her certificates, without the rest of her."""

    def __init__(self, folder: Path, security: SecuritySettings) -> None:
        self.at = datetime.now(UTC)
        self.authority = Authority(folder / "config" / "ca", lambda: self.at)
        self.authority.open()
        self.distrusted: list[tuple[Role, str]] = []
        self.owners: dict[str, str] = {}
        self.certificates = Certificates(
            self.authority,
            security,
            self.owners.get,
            lambda role, subject: self.distrusted.append((role, subject)),
            lambda: self.at,
        )
        self.enrolling = Enrolling(self.certificates, security, "https://queen:7833")

    def invited(self, name: str | None = None) -> str:
        return self.enrolling.invite(InvitationWish(name=name)).token

    async def joined(self, name: str, key: Key | None = None) -> str:
        """A certificate, in PEM."""
        wish = Enrolment(token=self.invited(), hive_id=name, csr=csr(key))
        given = (await self.enrolling.enrol(wish, HERE)).given
        assert given is not None
        return given.certificate


def csr(key: Key | None = None) -> str:
    return make_request(key or new_key()).decode("ascii")


def holder(certificate: str) -> Peer:
    found = peer_of(ssl.PEM_cert_to_DER_cert(certificate))
    assert found is not None
    return found


@pytest.fixture
def queen(tmp_path: Path) -> Queen:
    return Queen(tmp_path, SecuritySettings())


async def test_an_invited_machine_gets_a_certificate_once(queen: Queen) -> None:
    made = queen.enrolling.invite(InvitationWish(name="attic"))
    assert (made.url, made.ca_fingerprint) == ("https://queen:7833", queen.authority.fingerprint)
    assert made.expires_at - datetime.now(UTC) < timedelta(minutes=31)
    wish = Enrolment(token=made.token, hive_id="attic", csr=csr())
    given = (await queen.enrolling.enrol(wish, HERE)).given
    assert given is not None
    assert holder(given.certificate)[:2] == (Role.HIVE, "attic")
    assert given.roots == queen.certificates.roots()
    with pytest.raises(AuthenticationError):
        await queen.enrolling.enrol(wish, HERE)


async def test_a_request_that_will_not_do_costs_no_invitation(queen: Queen) -> None:
    token = queen.invited()
    with pytest.raises(InvalidRequestError):
        await queen.enrolling.enrol(Enrolment(token=token, hive_id="attic", csr="nonsense"), HERE)
    assert (await queen.enrolling.enrol(Enrolment(token=token, hive_id="attic", csr=csr()), HERE)).given


async def test_requests_that_will_not_do_are_counted_with_wrong_tokens(queen: Queen) -> None:
    for _ in range(20):
        with pytest.raises(InvalidRequestError):
            await queen.enrolling.enrol(Enrolment(token="x", hive_id="attic", csr="nonsense"), HERE)
    wish = Enrolment(token=queen.invited(), hive_id="attic", csr=csr())
    with pytest.raises(RateLimitedError):
        await queen.enrolling.enrol(wish, HERE)
    assert (await queen.enrolling.enrol(wish, THERE)).given


async def test_a_hives_name_is_taken_over_by_an_invitation_for_it_alone(queen: Queen) -> None:
    await queen.joined("attic")
    with pytest.raises(ConflictError, match="rbee hive invite --name attic"):
        await queen.enrolling.enrol(Enrolment(token=queen.invited(), hive_id="attic", csr=csr()), HERE)
    token = queen.invited("attic")
    assert (await queen.enrolling.enrol(Enrolment(token=token, hive_id="attic", csr=csr()), HERE)).given


async def test_of_two_that_join_at_once_by_one_name_one_does(queen: Queen) -> None:
    wishes = [Enrolment(token=queen.invited(), hive_id="attic", csr=csr()) for _ in range(2)]
    told = await asyncio.gather(*(queen.enrolling.enrol(one, HERE) for one in wishes), return_exceptions=True)
    assert sorted(type(one).__name__ for one in told) == ["ConflictError", "Enrolled"]


async def test_where_machines_are_approved_one_waits_with_its_key(tmp_path: Path) -> None:
    queen = Queen(tmp_path, SecuritySettings(approve_hives=True))
    wish = Enrolment(token=queen.invited(), hive_id="attic", csr=csr())
    told = await queen.enrolling.enrol(wish, HERE)
    assert told.given is None
    assert [(one.name, one.key) for one in queen.enrolling.waiting()] == [("attic", told.key)]
    assert queen.authority.issued.newest(5) == []
    queen.enrolling.answer(Approval(name="attic", key=told.key))
    assert (await queen.enrolling.enrol(wish, HERE)).given


async def test_who_shows_a_certificate_gets_the_next_one(queen: Queen) -> None:
    peer = holder(await queen.joined("attic"))
    given = await queen.certificates.renew(peer, CertificateWish(csr=csr()), queen.enrolling.tries, HERE)
    found = holder(given.certificate)
    assert found[:2] == peer[:2]
    assert found.serial != peer.serial
    with pytest.raises(PermissionDeniedError, match="over TLS"):
        await queen.certificates.renew(None, CertificateWish(csr=csr()), queen.enrolling.tries, HERE)


async def test_whose_certificate_has_ended_renews_it_by_its_key_and_who_has_none_is_stopped(queen: Queen) -> None:
    key = new_key()
    shown = await queen.joined("attic", key)
    queen.at += 3 * DAY
    request = csr()
    wish = CertificateWish(csr=request, certificate=shown, proof=prove(key, request.encode()))
    found = holder((await queen.certificates.renew(None, wish, queen.enrolling.tries, HERE)).certificate)
    assert found[:2] == (Role.HIVE, "attic")
    wrong = CertificateWish(csr=request, certificate=shown, proof=prove(new_key(), request.encode()))
    for _ in range(20):
        with pytest.raises(AuthenticationError):
            await queen.certificates.renew(None, wrong, queen.enrolling.tries, THERE)
    with pytest.raises(RateLimitedError):
        await queen.certificates.renew(None, wrong, queen.enrolling.tries, THERE)
    again = await queen.certificates.renew(None, wish, queen.enrolling.tries, HERE)
    assert holder(again.certificate)[:2] == (Role.HIVE, "attic")


async def test_who_was_revoked_gets_nothing_more_and_all_of_the_home_are_told(queen: Queen, tmp_path: Path) -> None:
    own = Identity(tmp_path / "config" / "identity" / "queen")
    request_key, request = own.ask()
    given = await queen.certificates.give(request.decode(), Role.QUEEN, "queen")
    own.take(request_key, given.certificate.encode(), given.roots.encode())
    peer = holder(await queen.joined("attic"))
    worker = holder((await queen.certificates.for_worker(peer, "w1", csr())).certificate)
    done = queen.certificates.revoke(Role.HIVE, "attic", "sold")
    assert (done.role, done.id, done.certificates) == ("hive", "attic", 2)
    assert queen.distrusted == [(Role.HIVE, "attic")]
    assert own.revoked == {peer.serial, worker.serial}
    assert queen.certificates.revoked() == tuple(f"{one:x}" for one in sorted((peer.serial, worker.serial)))
    for who in (peer, worker):
        with pytest.raises(PermissionDeniedError, match="revoked"):
            await queen.certificates.renew(who, CertificateWish(csr=csr()), queen.enrolling.tries, HERE)
    states = {one.id: (one.hive_id, one.reason) for one in queen.certificates.issued().certificates}
    assert states["w1"] == ("attic", "sold")
    with pytest.raises(NotFoundError):
        queen.certificates.revoke(Role.HIVE, "cellar", "")
    with pytest.raises(InvalidRequestError):
        queen.certificates.revoke(Role.QUEEN, "queen", "")


async def test_a_worker_of_another_hive_gets_no_certificate(queen: Queen) -> None:
    queen.owners["w1"] = "cellar"
    peer = holder(await queen.joined("attic"))
    with pytest.raises(PermissionDeniedError, match="'cellar'"):
        await queen.certificates.for_worker(peer, "w1", csr())
    with pytest.raises(PermissionDeniedError):
        await queen.certificates.for_worker(None, "w2", csr())


async def test_a_new_key_signs_once_all_have_heard_of_it(queen: Queen) -> None:
    before = queen.certificates.info()
    told = queen.certificates.rotate(at_once=False)
    assert told.signs_from == queen.at + DAY
    assert queen.certificates.info().fingerprint == before.fingerprint
    assert queen.certificates.roots().count("BEGIN CERTIFICATE") == 2
    queen.at += DAY
    after = queen.certificates.info()
    assert (after.fingerprint, after.colony) == (told.fingerprint, before.colony)


async def test_on_loopback_alone_there_is_no_authority() -> None:
    certificates = Certificates(None, SecuritySettings(), lambda _: None, lambda *_: None)
    enrolling = Enrolling(certificates, SecuritySettings(), "http://127.0.0.1:7833")
    assert certificates.revoked() == ()
    for ask in (
        certificates.info,
        certificates.issued,
        enrolling.waiting,
        lambda: certificates.revoke(Role.HIVE, "attic", ""),
        lambda: enrolling.invite(InvitationWish()),
    ):
        with pytest.raises(ConflictError, match=r"server\.host"):
            ask()
    with pytest.raises(ConflictError, match=r"server\.host"):
        await enrolling.enrol(Enrolment(token="x", hive_id="attic", csr=csr()), HERE)
