from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from rbee.contract.errors import AuthenticationError, ConfigurationError, InvalidRequestError
from rbee.trust.authority import Authority
from rbee.trust.certificates import check_signed, make_request, new_key, peer_of
from rbee.trust.names import Role, internal_name, read_uri, uri_of

DAY = timedelta(days=1)


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 11, 27, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authority(tmp_path: Path, clock: Clock) -> Authority:
    made = Authority(tmp_path / "ca", clock)
    made.open()
    return made


def issued(authority: Authority, subject: str = "attic", role: Role = Role.HIVE) -> x509.Certificate:
    made = authority.issue(make_request(new_key()), role, subject, ["192.0.2.7", "attic.example"], DAY)
    return x509.load_pem_x509_certificate(made.certificate)


def test_its_files_are_for_this_user_alone(authority: Authority, tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_one_that_others_can_read_is_refused(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "ca" / "authority.pem").chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        Authority(tmp_path / "ca").open()


def test_who_opens_it_again_has_the_same(authority: Authority, tmp_path: Path) -> None:
    again = Authority(tmp_path / "ca")
    again.open()
    assert (again.colony, again.fingerprint) == (authority.colony, authority.fingerprint)


def test_a_certificate_says_who_it_is_for_how_it_is_called_and_how_long_it_holds(
    authority: Authority, clock: Clock
) -> None:
    made = issued(authority, "attic/2 ä")
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert internal_name(Role.HIVE, "attic/2 ä") in names.get_values_for_type(x509.DNSName)
    assert "attic.example" in names.get_values_for_type(x509.DNSName)
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7"]
    assert made.not_valid_after_utc == clock.at + DAY
    found = peer_of(made.public_bytes(Encoding.DER))
    assert found is not None
    assert (found.role, found.id, found.serial) == (Role.HIVE, "attic/2 ä", made.serial_number)


def test_it_signs_no_other_authority(authority: Authority) -> None:
    made = issued(authority)
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    (root,) = authority.roots()
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


@pytest.mark.parametrize("request_pem", [b"", b"nonsense", b"x" * 20_000])
def test_what_is_no_request_is_refused(authority: Authority, request_pem: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        authority.issue(request_pem, Role.HIVE, "attic", [], DAY)


def test_another_colonys_certificate_is_not_of_this_one(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    other.open()
    check_signed(issued(authority), authority.roots())
    with pytest.raises(AuthenticationError):
        check_signed(issued(other), authority.roots())


def test_a_new_key_is_trusted_at_once_and_signs_when_all_have_heard_of_it(authority: Authority, clock: Clock) -> None:
    before, old = authority.fingerprint, issued(authority)
    colony = authority.colony
    new = authority.rotate(DAY)
    assert (authority.fingerprint, len(authority.roots())) == (before, 2)
    clock.at += DAY
    fresh = issued(authority)
    assert authority.fingerprint == new
    # What the old key has signed still holds, also for who opens the files now.
    for one in (old, fresh):
        check_signed(one, authority.roots())
    assert authority.colony == colony
    clock.at += 3 * DAY
    check_signed(fresh, authority.roots())
    with pytest.raises(AuthenticationError):
        check_signed(old, authority.roots())


def test_a_key_that_is_known_to_others_is_given_up_at_once(authority: Authority) -> None:
    old = issued(authority)
    authority.rotate(DAY, at_once=True)
    with pytest.raises(AuthenticationError):
        check_signed(old, authority.roots())


def test_two_rotations_in_a_row_leave_one_key_to_come(authority: Authority, clock: Clock) -> None:
    authority.rotate(DAY)
    clock.at += timedelta(hours=1)
    last = authority.rotate(DAY)
    assert len(authority.roots()) == 2
    clock.at += DAY
    issued(authority)
    assert authority.fingerprint == last


@pytest.mark.parametrize("subject", ["attic", "a/b?c#d", "ä", "x" * 200])
def test_an_id_survives_its_way_through_a_certificate(subject: str) -> None:
    assert read_uri(uri_of(Role.WORKER, subject)) == (Role.WORKER, subject)


@pytest.mark.parametrize("uri", ["https://x", "rbee:///boss/x", "rbee:///hive/%ff", ""])
def test_what_names_no_program_is_nobody(uri: str) -> None:
    assert read_uri(uri) is None


def test_each_program_has_a_name_of_its_own_and_fits_into_dns() -> None:
    names = {internal_name(role, subject) for role in (Role.HIVE, Role.WORKER) for subject in ("a", "b", "x" * 300)}
    assert len(names) == 6
    assert all(len(name.partition(".")[0]) <= 63 for name in names)
    assert internal_name(Role.QUEEN) == "queen.rbee.internal"


def test_another_process_of_the_home_signs_with_the_new_key_too(
    authority: Authority, tmp_path: Path, clock: Clock
) -> None:
    other = Authority(tmp_path / "ca", clock)
    other.open()
    old = issued(other)
    new = authority.rotate(DAY)
    clock.at += DAY
    assert authority.fingerprint == new
    assert other.fingerprint == new
    fresh = issued(other)
    check_signed(fresh, authority.roots())
    assert not authority.has_signed(old.public_bytes(Encoding.PEM))
    assert authority.has_signed(fresh.public_bytes(Encoding.PEM))


def test_a_key_that_was_given_up_takes_the_list_with_it(authority: Authority) -> None:
    old = issued(authority)
    assert authority.issued.find(old.serial_number) is not None
    authority.rotate(DAY, at_once=True)
    assert authority.issued.newest(5) == []


def test_of_two_that_begin_at_once_both_have_the_same(tmp_path: Path) -> None:
    made = [Authority(tmp_path / "ca") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(Authority.open, made))
    assert len({(one.colony, one.fingerprint) for one in made}) == 1
