"""Heads that have been judged before: a client sends the same one with each of its requests, but for the length."""

from __future__ import annotations

from rbee.http.direct import Admitted, Headers

_MOST_DIGITS = 15


class KnownHead:
    """The head of a request that was admitted on this connection, served below ASGI.

    Args:
        url: as sent.
        headers: as sent, names in lower case; with exactly one Content-Length.
        keep_alive: the connection is kept behind it.
        admitted: what came of it.
    """

    __slots__ = ("_at", "_before", "_behind", "_url", "admitted", "keep_alive")

    def __init__(self, url: bytes, headers: Headers, admitted: Admitted, *, keep_alive: bool) -> None:
        at = next(index for index, (name, _) in enumerate(headers) if name == b"content-length")
        self._url = url
        self._at = at
        self._before, self._behind = headers[:at], headers[at + 1 :]
        self.keep_alive = keep_alive
        self.admitted = admitted

    def length_of(self, url: bytes, headers: Headers) -> int | None:
        """The Content-Length of a request whose head is this one in all else; None for every other request."""
        at = self._at
        if url != self._url or len(headers) <= at:
            return None
        name, value = headers[at]
        if name != b"content-length" or headers[:at] != self._before or headers[at + 1 :] != self._behind:
            return None
        return int(value) if value.isdigit() and len(value) <= _MOST_DIGITS else None


def may_be_known(headers: Headers) -> bool:
    """Whether the next request on a connection is worth comparing with this one.

    What differs from one request to the next, or says how the body comes, is judged each time.
    """
    lengths = 0
    for name, _ in headers:
        if name == b"content-length":
            lengths += 1
        elif name in {b"x-request-id", b"expect", b"upgrade", b"transfer-encoding", b"traceparent"}:
            return False
    return lengths == 1
