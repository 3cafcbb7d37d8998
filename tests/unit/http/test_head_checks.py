"""What is wrong with a head by itself."""

from __future__ import annotations

import pytest
from rbee.http.head_checks import head_fault

HOST = (b"host", b"localhost")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [HOST, (b"content-length", b"0")],
        [HOST, (b"content-length", b"12 ")],
        [HOST, (b"transfer-encoding", b"chunked")],
        [HOST, (b"expect", b"100-Continue"), (b"content-encoding", b"Identity")],
        [(b"accept", b"a"), (b"accept", b"b"), HOST, HOST],
    ],
)
def test_a_head_without_fault_has_none(headers: list[tuple[bytes, bytes]]) -> None:
    assert head_fault(b"POST", b"/v1/jobs?x=http://y/", "1.1", headers) is None


@pytest.mark.parametrize(
    ("method", "target", "version", "headers", "word"),
    [
        (b"CONNECT", b"/", "1.1", [HOST], "CONNECT"),
        (b"GET", b"/", "2.0", [HOST], "HTTP/2.0"),
        (b"GET", b"*", "1.1", [HOST], "'*'"),
        (b"GET", b"/#", "1.1", [HOST], "'#'"),
        (b"GET", b"http://a/", "1.1", [HOST], "'a'"),
        (b"POST", b"/", "1.1", [(b"content-length", b"+1")], "Content-Length"),
        (b"POST", b"/", "1.1", [(b"content-length", b"1, 1")], "Content-Length"),
        (b"POST", b"/", "1.1", [(b"content-length", b"")], "Content-Length"),
        (b"POST", b"/", "1.1", [(b"content-length", b"1")] * 2, "more than once"),
        (b"POST", b"/", "1.1", [(b"transfer-encoding", b"chunked")] * 2, "more than once"),
        (b"POST", b"/", "1.1", [(b"transfer-encoding", b"gzip, chunked")], "gzip"),
        (b"POST", b"/", "1.0", [(b"transfer-encoding", b"chunked")], "HTTP/1.0"),
        (b"POST", b"/", "1.1", [(b"transfer-encoding", b"chunked"), (b"content-length", b"1")], "not both"),
        (b"POST", b"/", "1.1", [(b"content-encoding", b"br")], "uncompressed"),
        (b"POST", b"/", "1.1", [(b"expect", b"tea")], "'tea'"),
        (b"GET", b"/", "1.1", [(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")], "'authorization'"),
    ],
)
def test_a_fault_names_its_thing(
    method: bytes, target: bytes, version: str, headers: list[tuple[bytes, bytes]], word: str
) -> None:
    fault = head_fault(method, target, version, headers)
    assert fault is not None
    assert word in fault.message
