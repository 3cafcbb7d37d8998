"""Which addresses are whose."""

from __future__ import annotations

import pytest
from rbee.contract.errors import UnreachableError
from rbee.contract.transfer.addresses import is_inner, is_loopback, next_address, origin, parsed


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://h/a", "https://h:443/b", True),
        ("https://H./a", "https://h/a", True),
        ("http://h/a", "http://h:80/", True),
        ("https://h/a", "http://h/a", False),
        ("https://h/a", "https://h:444/a", False),
        ("https://h/a", "https://sub.h/a", False),
        ("https://h\\@evil/a", "https://h/a", True),
        ("https://h@evil/a", "https://h/a", False),
    ],
)
def test_an_origin_is_scheme_host_and_port(one, other, same):
    assert (origin(parsed(one)) == origin(parsed(other))) is same


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.9.9.9",
        "localhost",
        "a.localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "127.1",
        "2130706433",
        "0x7f.1",
    ],
)
def test_this_machine_has_many_names(host):
    assert is_loopback(f"http://{host}:80/x")
    assert is_inner(parsed(f"http://{host}/x"), direct=True)


@pytest.mark.parametrize(
    "host",
    ["10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "[fe80::1]", "[fd00::1]"],
)
def test_private_networks_are_inner_and_not_this_machine(host):
    assert is_inner(parsed(f"http://{host}/x"), direct=True)
    assert not is_loopback(f"http://{host}/x")


@pytest.mark.parametrize("host", ["8.8.8.8", "[2606:4700::1111]", "134744072"])
def test_public_addresses_are_neither(host):
    assert not is_inner(parsed(f"http://{host}/x"), direct=True)
    assert not is_loopback(f"http://{host}/x")


def test_inner_addresses_may_lead_to_inner_ones_and_public_ones_may_not():
    inner, public = parsed("http://127.0.0.1:1/x"), parsed("http://8.8.8.8/x")
    assert next_address(inner, inner, "http://10.0.0.1/y", direct=True).url == "http://10.0.0.1/y"
    assert next_address(public, public, "/y?z", direct=True).url == "http://8.8.8.8/y?z"
    for here in (public, inner):
        # Whoever was led out of the private network first is judged by where it began.
        with pytest.raises(UnreachableError, match="private network"):
            next_address(public, here, "http://10.0.0.1/y", direct=True)


def test_a_redirect_may_become_encrypted_and_not_the_reverse():
    plain, secure = parsed("http://8.8.8.8/x"), parsed("https://8.8.8.8/x")
    assert next_address(plain, plain, "https://8.8.4.4/x", direct=True).scheme == "https"
    with pytest.raises(UnreachableError, match="not encrypted"):
        next_address(plain, secure, "http://8.8.8.8/x", direct=True)


@pytest.mark.parametrize("host", ["a" * 70 + ".com", "a..b.com", ".a.com"])
def test_a_name_that_no_name_service_takes_is_no_address(host):
    public = parsed("http://8.8.8.8/x")
    with pytest.raises(UnreachableError, match="cannot be read"):
        next_address(public, public, f"https://{host}/x", direct=True)
    with pytest.raises(UnreachableError, match="cannot be read"):
        is_loopback(f"https://{host}/x")
