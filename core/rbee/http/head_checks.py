"""What is wrong with the head of a request that a lenient parser lets through, and a proxy may have read otherwise.

Two programs that do not agree where a request ends, or for whom it is, can be made to see different requests: all
doubtful forms are refused.  Rules: https://www.rfc-editor.org/rfc/rfc9112 sections 3.2, 6.1, 6.3 and 11.2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rbee.contract.errors import InvalidRequestError, MethodNotAllowedError, RbeeError

_METHODS = frozenset({b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"HEAD", b"PATCH"})
_JUDGED = frozenset(
    {b"authorization", b"content-encoding", b"content-length", b"expect", b"host", b"transfer-encoding"}
)
_ONE_EACH = _JUDGED - {b"host"}
"""Of Host there must be one, which the guard says; of these there may be none."""
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)/", re.IGNORECASE)


def head_fault(method: bytes, target: bytes, version: str, headers: Sequence[tuple[bytes, bytes]]) -> RbeeError | None:
    """Why a request is refused by its head alone; None when there is no reason.

    Args:
        method: as sent.
        target: as sent, with its query.
        version: of HTTP, ``1.1``.
        headers: names in lower case.
    """
    if method not in _METHODS:
        return MethodNotAllowedError(f"The method {method.decode('latin-1')!r} is not served here.")
    if version != "1.1" and version != "1.0":  # noqa: PLR1714  # every request comes by here
        return InvalidRequestError(f"HTTP/{version} is not spoken here; send HTTP/1.1.")
    if target[:1] != b"/" or b"#" in target:
        fault = _target_fault(target, headers)
        if fault is not None:
            return fault
    seen = []
    for name, value in headers:
        if name in _JUDGED:
            seen.append(name)
            if name == b"content-length":
                # Blanks behind it have been seen; signs, lists and words have not, but it costs nothing.
                if not value.strip(b" \t").isdigit():
                    return InvalidRequestError(f"The Content-Length {_shown(value)} is not a number.")
            elif name == b"transfer-encoding":
                if value.strip(b" \t").lower() != b"chunked":
                    return InvalidRequestError(f"The Transfer-Encoding {_shown(value)} is not taken; send 'chunked'.")
                if version != "1.1":
                    return InvalidRequestError("HTTP/1.0 has no Transfer-Encoding; send a Content-Length.")
            elif name == b"content-encoding":
                if value.lower() != b"identity":
                    return InvalidRequestError(
                        f"The Content-Encoding {_shown(value)} is not taken; send the body uncompressed."
                    )
            elif name == b"expect" and value.lower() != b"100-continue":
                return InvalidRequestError(f"The expectation {_shown(value)} cannot be met; leave Expect out.")
    if len(seen) != len(set(seen)):
        twice = next((name for name in seen if name in _ONE_EACH and seen.count(name) > 1), None)
        if twice is not None:
            return InvalidRequestError(f"The header {twice.decode('latin-1')!r} was sent more than once.")
    if b"transfer-encoding" in seen and b"content-length" in seen:
        return InvalidRequestError("A request has a Content-Length or a Transfer-Encoding, not both.")
    return None


def _target_fault(target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> RbeeError | None:
    if b"#" in target:
        return InvalidRequestError("The target of a request has no '#' part; leave it out.")
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        return InvalidRequestError(f"The target {_shown(target)} is neither a path nor an address with one.")
    authority = absolute.group(1).lower()
    if any(name == b"host" and value.strip(b" \t").lower() != authority for name, value in headers):
        return InvalidRequestError(f"The target is for {_shown(authority)}, and the Host header names another.")
    return None


def _shown(value: bytes) -> str:
    return repr(value[:60].decode("latin-1"))
