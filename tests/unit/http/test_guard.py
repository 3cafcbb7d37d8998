"""Who may call what."""

from __future__ import annotations

import pytest
from rbee.contract.errors import AuthenticationError, InvalidRequestError, PermissionDeniedError
from rbee.http.guard import Access, Guard, bearer, host_name, is_loopback

TOKEN = "the-colonys-own-token"
HOME = Guard(token=TOKEN, host="127.0.0.1", allowed_hosts=("bees.example",), allowed_origins=("https://app.example",))
WIDE = Guard(token=TOKEN, host="0.0.0.0")
AUTH = (b"authorization", f"Bearer {TOKEN}".encode())


def check(guard: Guard, access: Access = Access.OPEN, host: str = "127.0.0.1:7833", *more: tuple[bytes, bytes]) -> None:
    guard.check([(b"host", host.encode("latin-1")), *more], access)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:7833", "localhost", "LOCALHOST.:80", "[::1]:7833", "127.5.5.5", "bees.example:1"]
)
def test_own_names_pass(host: str) -> None:
    check(HOME, Access.OPEN, host)


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "192.168.0.7", "", "bees.example.evil", "\xe4"]
)
def test_foreign_names_are_refused_even_for_open_routes(host: str) -> None:
    with pytest.raises(PermissionDeniedError):
        check(HOME, Access.OPEN, host)


def test_a_wide_listener_takes_any_address_but_no_foreign_name() -> None:
    check(WIDE, Access.OPEN, "192.168.0.7:7833")
    with pytest.raises(PermissionDeniedError, match="allowed_hosts"):
        check(WIDE, Access.OPEN, "evil.example")


@pytest.mark.parametrize("hosts", [[], [b"localhost", b"localhost"]])
def test_there_is_exactly_one_host(hosts: list[bytes]) -> None:
    with pytest.raises(InvalidRequestError):
        HOME.check([(b"host", host) for host in hosts], Access.OPEN)


@pytest.mark.parametrize("origin", [b"https://app.example", b"http://127.0.0.1:7833"])
def test_own_and_allowed_origins_pass(origin: bytes) -> None:
    check(HOME, Access.OPEN, "127.0.0.1:7833", (b"origin", origin))


@pytest.mark.parametrize(
    "origin", [b"https://evil.example", b"null", b"http://127.0.0.1:1", b"https://app.example.evil"]
)
def test_foreign_origins_are_refused_even_with_the_token(origin: bytes) -> None:
    with pytest.raises(PermissionDeniedError, match="allowed_origins"):
        check(HOME, Access.CONTROL, "127.0.0.1:7833", (b"origin", origin), AUTH)


@pytest.mark.parametrize(
    ("guard", "access", "needed"),
    [
        (HOME, Access.OPEN, False),
        (HOME, Access.INFERENCE, False),
        (HOME, Access.CONTROL, True),
        (WIDE, Access.OPEN, False),
        (WIDE, Access.INFERENCE, True),
        (WIDE, Access.CONTROL, True),
        (Guard(token=TOKEN, host="127.0.0.1", require_token=True), Access.INFERENCE, True),
    ],
)
def test_the_token_is_asked_for_where_it_is_needed(guard: Guard, access: Access, needed: bool) -> None:
    if needed:
        with pytest.raises(AuthenticationError, match="required"):
            check(guard, access)
    else:
        check(guard, access)
    check(guard, access, "127.0.0.1", AUTH)
    check(guard, access, "127.0.0.1", (b"x-api-key", TOKEN.encode()))


@pytest.mark.parametrize("given", [b"wrong", TOKEN[:-1].encode(), TOKEN.upper().encode(), b"\xff\xfe", b""])
def test_a_wrong_token_is_refused_without_showing_either(given: bytes) -> None:
    with pytest.raises(AuthenticationError) as caught:
        check(HOME, Access.CONTROL, "127.0.0.1", (b"authorization", b"Bearer " + given))
    assert TOKEN not in caught.value.message


def test_without_a_token_of_its_own_control_is_closed() -> None:
    with pytest.raises(AuthenticationError):
        check(Guard(token=None, host="127.0.0.1"), Access.CONTROL, "127.0.0.1", (b"x-api-key", b""))


def test_other_schemes_carry_no_token() -> None:
    assert bearer([(b"authorization", b"Basic abc")]) is None
    assert bearer([(b"authorization", b"bearer  abc ")]) == b"abc"


@pytest.mark.parametrize(
    ("host", "answer"), [("localhost", True), ("127.9.9.9", True), ("::1", True), ("0.0.0.0", False), ("box", False)]
)
def test_loopback_is_known(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer


def test_a_host_is_read_without_port_and_brackets() -> None:
    assert [host_name(text) for text in ("A:1", "[::1]:2", "b.")] == ["a", "::1", "b"]
