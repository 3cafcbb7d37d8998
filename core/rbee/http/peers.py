"""Who has sent a request, by its certificate."""

from __future__ import annotations

from typing import Any

from litestar import Request

from rbee.contract.errors import PermissionDeniedError
from rbee.trust.names import Peer, Role


def peer_of(request: Request[Any, Any, Any]) -> Peer | None:
    """The program that has sent a request; None for an operator, or anybody on loopback."""
    found: Peer | None = request.scope["state"].get("peer")
    return found


def check_speaks_for(peer: Peer | None, role: Role, subject: str | None) -> None:
    """Whether a program speaks of itself.

    Args:
        peer: who speaks; an operator may say anything.
        role: of whom.
        subject: of which; None names nobody.

    Raises:
        PermissionDeniedError: it is somebody else of its kind.
    """
    if peer is not None and peer.role is role and peer.id != subject:
        raise PermissionDeniedError(f"The {peer.role} {peer.id!r} may not speak for {subject!r}.")
