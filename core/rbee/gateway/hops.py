"""Queens that a request has come through: one of them may lead to another, and never back.

A server that was added may be a queen herself.  Where one of her names leads here again, a request would go round until
every slot is taken, so it carries the queens that have passed it on (the way of Via, RFC 9110 section 7.6.3).
"""

from __future__ import annotations

from rbee.contract.errors import InvalidRequestError

HEADER = b"x-rbee-hop"
_MOST = 16


def onward(hops: bytes | None, own: bytes) -> bytes:
    """The header's value for the next one.

    Args:
        hops: that came with the request; None for none.
        own: of this program; empty for one that is no queen's.

    Raises:
        InvalidRequestError: the request has been here before, or has come through very many queens.
    """
    if hops is None:
        return own
    if not own:
        return hops
    before = [one.strip() for one in hops.split(b",")]
    if own in before:
        raise InvalidRequestError(
            "This request has come through this queen before: a server that was added leads back to her. "
            "`rbee server ls` shows the servers, here and there; remove the one that does: rbee server rm NAME",
            param="model",
        )
    if len(before) >= _MOST:
        raise InvalidRequestError(f"This request has come through {_MOST} queens, which is the most.", param="model")
    return hops + b", " + own
