"""Queens that a request has come through."""

from __future__ import annotations

import pytest
from rbee.contract.errors import InvalidRequestError
from rbee.gateway.hops import onward
from rbee.gateway.message import client_head


@pytest.mark.parametrize(
    ("hops", "own", "told"),
    [(None, b"a", b"a"), (None, b"", b""), (b"a", b"", b"a"), (b"a", b"b", b"a, b"), (b"a, b", b"c", b"a, b, c")],
)
def test_each_queen_adds_herself_and_others_pass_it_on(hops: bytes | None, own: bytes, told: bytes) -> None:
    assert onward(hops, own) == told


@pytest.mark.parametrize("hops", [b"a", b"b, a", b"a,b"])
def test_what_comes_back_is_refused(hops: bytes) -> None:
    with pytest.raises(InvalidRequestError, match=r"come through this queen before.*rbee server rm"):
        onward(hops, b"a")


def test_a_way_without_an_end_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="16 queens"):
        onward(b", ".join(b"%d" % number for number in range(16)), b"a")


def test_the_client_s_header_is_replaced_and_not_doubled() -> None:
    head = client_head(((b"x-rbee-hop", b"a"), (b"x-other", b"1")))
    assert (head.hops, head.forwarded) == (b"a", b"x-other: 1\r\n")
