"""Heads that repeat: taken for the same only where nothing but the length differs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.http.direct import Admitted, Headers
from rbee.http.known import KnownHead, may_be_known

HEADERS: Headers = [
    (b"host", b"a"),
    (b"authorization", b"Bearer t"),
    (b"content-length", b"12"),
    (b"content-type", b"application/json"),
]
URL = b"/v1/chat/completions"


def known(headers: Headers = HEADERS) -> KnownHead:
    admitted = Admitted(path="/v1/chat/completions", request_id="r", headers=headers, trusted=True, local=False)
    return KnownHead(URL, headers, admitted, keep_alive=True)


def changed(at: int, header: tuple[bytes, bytes]) -> Headers:
    return [*HEADERS[:at], header, *HEADERS[at + 1 :]]


def test_the_same_head_with_another_length_is_known() -> None:
    assert known().length_of(URL, list(HEADERS)) == 12
    assert known().length_of(URL, changed(2, (b"content-length", b"70000"))) == 70000


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        (b"/v1/completions", HEADERS),
        (URL, HEADERS[:-1]),
        (URL, HEADERS[:2]),
        (URL, []),
        (URL, [*HEADERS, (b"content-length", b"12")]),
        (URL, [*HEADERS, (b"transfer-encoding", b"chunked")]),
        (URL, changed(1, (b"authorization", b"Bearer u"))),
        (URL, changed(0, (b"host", b"b"))),
        (URL, changed(2, (b"content-length", b"+12"))),
        (URL, changed(2, (b"content-length", b""))),
        (URL, changed(2, (b"content-length", b"9" * 5000))),
        (URL, changed(2, (b"transfer-encoding", b"12"))),
    ],
)
def test_every_other_head_is_judged_anew(url: bytes, headers: Headers) -> None:
    assert known().length_of(url, headers) is None


@given(st.lists(st.tuples(st.sampled_from([b"a", b"content-length", b"host"]), st.sampled_from([b"1", b"2"]))))
def test_what_is_known_differs_in_its_length_alone(headers: list[tuple[bytes, bytes]]) -> None:
    if known().length_of(URL, headers) is not None:
        assert [one for one in headers if one[0] != b"content-length"] == [
            one for one in HEADERS if one[0] != b"content-length"
        ]


@pytest.mark.parametrize("name", [b"x-request-id", b"expect", b"upgrade", b"transfer-encoding", b"traceparent"])
def test_a_head_with_what_belongs_to_one_request_is_not_kept(name: bytes) -> None:
    assert may_be_known(HEADERS)
    assert not may_be_known([*HEADERS, (name, b"x")])


def test_a_head_without_exactly_one_length_is_not_kept() -> None:
    assert not may_be_known(HEADERS[:2])
    assert not may_be_known([*HEADERS, HEADERS[2]])
