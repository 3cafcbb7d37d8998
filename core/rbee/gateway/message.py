"""Heads of requests and answers on their way through the relay."""

from __future__ import annotations

from collections.abc import Iterable

from rbee.gateway.dispatch import Target

Headers = Iterable[tuple[bytes, bytes]]

# RFC 9110 section 7.6.1, and what the next hop gets anew or must not see.
_NOT_FORWARDED = frozenset(
    {
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
        b"x-api-key",
        b"x-request-id",
    }
)
_NOT_RETURNED = frozenset(
    {
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


def request_bytes(path: str, headers: Headers, body: bytes, target: Target, request_id: str) -> bytes:
    """A whole POST request for a worker: end-to-end headers of the client, ours added, body untouched."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    lines = [f"POST {path} HTTP/1.1\r\nhost: {host}:{target.port}\r\ncontent-length: {len(body)}".encode("latin-1")]
    lines += [name + b": " + value for name, value in headers if name not in _NOT_FORWARDED]
    lines += [name + b": " + value for name, value in target.headers]
    lines.append(b"x-request-id: " + request_id.encode("latin-1") + b"\r\n\r\n")
    return b"\r\n".join(lines) + body


def answer_headers(headers: Headers, request_id: str, *, stream: bool) -> list[tuple[bytes, bytes]]:
    """The worker's end-to-end headers for the client, with the request's id."""
    kept = [(name, value) for name, value in headers if name not in _NOT_RETURNED]
    kept.append((b"x-request-id", request_id.encode("latin-1")))
    if stream:
        # Or nginx, where somebody has put one in front, collects the tokens before it passes them on.
        kept.append((b"x-accel-buffering", b"no"))
    return kept


def is_event_stream(headers: Headers) -> bool:
    """Whether an answer is a stream of server-sent events."""
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers)
