"""Heads of requests and answers on their way through the relay."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2s

import msgspec

from rbee.gateway.deadline import HEADER as DEADLINE
from rbee.gateway.dispatch import Target
from rbee.gateway.hops import HEADER as HOPS

Headers = Iterable[tuple[bytes, bytes]]

# RFC 9110 section 7.6.1, and what the next hop gets anew or must not see.  An answer that the worker has compressed
# could not be read for its usage.
_NOT_FORWARDED = frozenset(
    {
        b"accept-encoding",
        b"authorization",
        b"connection",
        b"content-length",
        b"cookie",
        b"expect",
        b"host",
        b"keep-alive",
        b"origin",
        b"proxy-authorization",
        b"proxy-connection",
        b"referer",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"traceparent",
        b"x-api-key",
        b"x-rbee-hop",
        b"x-rbee-keep-alive",
        b"x-rbee-priority",
        b"x-rbee-usage",
        b"x-request-deadline",
        b"x-request-id",
        b"x-session-id",
    }
)
_PLAIN_CONNECTION = frozenset({b"keep-alive", b"close"})
ELSEWHERE = b"x-rbee-elsewhere"
"""Header of an answer that a server behind a worker has failed to give, which is not the worker's own."""

_NOT_RETURNED = frozenset(
    {
        ELSEWHERE,
        b"access-control-allow-credentials",
        b"access-control-allow-origin",
        b"connection",
        b"date",
        b"keep-alive",
        b"proxy-authenticate",
        b"server",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"x-request-id",
    }
)


class ClientHead(msgspec.Struct, frozen=True):
    """What the relay needs of a client's headers.

    Attributes:
        forwarded: lines for the worker.
        deadline: value of ``X-Request-Deadline``, None where there is none.
        traceparent: likewise; for the worker where the gateway makes no trace of its own.
        key: a digest of the key that the client sent, whatever it is worth; empty for none.
        session: value of ``X-Session-Id``.
        priority: value of ``X-RBEE-Priority``.
        keep_alive: value of ``X-RBEE-Keep-Alive``.
        hops: value of ``X-RBEE-Hop``: queens that it has come through.
    """

    forwarded: bytes
    deadline: bytes | None
    traceparent: bytes | None = None
    key: str = ""
    session: bytes | None = None
    priority: bytes | None = None
    keep_alive: bytes | None = None
    hops: bytes | None = None


def client_head(headers: Headers) -> ClientHead:
    """What the relay needs of a client's headers, names in lower case."""
    parts: list[bytes] = []
    dropped = _NOT_FORWARDED
    ours: dict[bytes, bytes] = {}
    for name, value in headers:
        if name == b"connection" and value.lower() not in _PLAIN_CONNECTION:
            # What a client names there is meant for this hop alone.
            dropped |= {token.strip().lower() for token in value.split(b",")}
    for name, value in headers:
        if name not in dropped:
            parts += (name, b": ", value, b"\r\n")
        else:
            ours.setdefault(name, value)
    return ClientHead(
        b"".join(parts),
        ours.get(DEADLINE),
        ours.get(b"traceparent"),
        _digest(ours.get(b"authorization") or ours.get(b"x-api-key")),
        ours.get(b"x-session-id"),
        ours.get(b"x-rbee-priority"),
        ours.get(b"x-rbee-keep-alive"),
        ours.get(HOPS),
    )


def _digest(key: bytes | None) -> str:
    return blake2s(key, digest_size=8).hexdigest() if key else ""


def request_bytes(path: str, head: ClientHead, body: bytes, target: Target, added: Headers) -> bytes:
    """A whole POST request for a worker: end-to-end headers of the client, ours added, body untouched.

    Args:
        path: the worker's.
        head: of the client's headers.
        body: the client's.
        target: the worker.
        added: the gateway's own.
    """
    parts = [b"POST ", path.encode("ascii"), target.head, str(len(body)).encode("ascii"), b"\r\n", head.forwarded]
    for name, value in added:
        parts += (name, b": ", value, b"\r\n")
    parts += (b"\r\n", body)
    return b"".join(parts)


def answer_headers(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The worker's end-to-end headers, for the client."""
    return [one for one in headers if one[0] not in _NOT_RETURNED]


def is_event_stream(headers: Headers) -> bool:
    """Whether an answer is a stream of server-sent events."""
    for name, value in headers:
        if name == b"content-type":
            return value.startswith(b"text/event-stream")
    return False
