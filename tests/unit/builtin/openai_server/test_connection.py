"""Addresses, names and keys of servers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.builtin.openai_server import Connection
from rbee.builtin.openai_server.connection import base_url, checked_key, checked_name
from rbee.contract.errors import InvalidRequestError


@pytest.mark.parametrize(
    ("typed", "base"),
    [
        ("http://box:8000", "http://box:8000/v1"),
        ("http://Box:8000/", "http://box:8000/v1"),
        ("https://api.example.com/v1/", "https://api.example.com/v1"),
        ("https://example.com/api/v1", "https://example.com/api/v1"),
        ("https://example.com/v1beta/openai", "https://example.com/v1beta/openai"),
        ("http://[::1]:9/v1", "http://[::1]:9/v1"),
    ],
)
def test_the_base_of_an_api_is_what_was_typed_with_v1_where_nothing_was(typed, base):
    assert base_url(typed) == base


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "box",
        "box:8000",
        "ftp://box",
        "http://",
        "http://box:99999",
        "http://box:0",
        "http://box/v1?key=x",
        "http://a b",
    ],
)
def test_what_is_no_address_is_refused(typed):
    with pytest.raises(InvalidRequestError) as caught:
        base_url(typed)
    assert caught.value.param == "url"


def test_an_address_with_a_password_is_refused_without_quoting_it():
    with pytest.raises(InvalidRequestError, match="--key-file") as caught:
        base_url("https://me:secret@example.com/v1")
    assert "secret" not in caught.value.message


@given(st.text())
def test_whatever_is_typed_is_an_address_or_refused(typed):
    try:
        assert base_url(base_url(typed)) == base_url(typed)
    except InvalidRequestError:
        return


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "a-", "a/b", "a:b", "x" * 65, "a\n"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(InvalidRequestError):
        checked_name(name)
    assert checked_name("box-1.local") == "box-1.local"


def test_a_key_is_one_line_of_printable_characters():
    assert checked_key(" sesame\n") == "sesame"
    for wrong in ("a\r\nX-Evil: 1", "\N{BULLET}", "x" * 5000):
        with pytest.raises(InvalidRequestError) as caught:
            checked_key(wrong)
        assert wrong not in caught.value.message
    for nothing in ("", " \n"):
        with pytest.raises(InvalidRequestError, match="The key is empty"):
            checked_key(nothing)


def test_a_connection_shows_that_it_has_a_key_and_not_which():
    connection = Connection(name="box", url="http://box:8000/api/v1", key="sesame")
    assert "sesame" not in f"{connection!r} {connection}"
    assert (connection.origin, connection.prefix) == ("http://box:8000", "/api/v1")
