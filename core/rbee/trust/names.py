"""Who is who in a colony's certificates."""

from __future__ import annotations

import base64
import hashlib
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import quote, unquote

_SCHEME = "rbee:///"
_DOMAIN = "rbee.internal"
_LABEL = 26
"""Characters of a name's hash: 130 bits, and within the 63 that a DNS label may have."""


class Role(StrEnum):
    """What a program of the colony is; each has routes of its own."""

    QUEEN = "queen"
    REGISTRY = "registry"
    HIVE = "hive"
    WORKER = "worker"


_ONLY_ONE = frozenset({Role.QUEEN, Role.REGISTRY})


class Peer(NamedTuple):
    """Who a certificate says that its holder is.

    Attributes:
        role: what it is.
        id: which one; the role again where a colony has only one.
        serial: of the certificate; 0 where none was looked at.
    """

    role: Role
    id: str
    serial: int = 0


def internal_name(role: Role, subject: str = "") -> str:
    """The name under which a program is called over TLS, wherever it is: addresses change, and prove nothing.

    Args:
        role: what it is.
        subject: its id; nothing for the queen and the registry.
    """
    if role in _ONLY_ONE:
        return f"{role}.{_DOMAIN}"
    digest = hashlib.sha256(subject.encode("utf-8", "surrogatepass")).digest()
    return f"{role}-{base64.b32encode(digest).decode().lower()[:_LABEL]}.{_DOMAIN}"


def is_internal(name: str | None) -> bool:
    """Whether a name called over TLS is one of a colony's own."""
    return name is not None and name.lower().endswith("." + _DOMAIN)


def uri_of(role: Role, subject: str) -> str:
    """The identity as a certificate states it, in its subject's alternative names."""
    return f"{_SCHEME}{role}/{quote(subject, safe='')}"


def read_uri(uri: str) -> tuple[Role, str] | None:
    """Role and id from a certificate's statement; None for anything else."""
    if not uri.startswith(_SCHEME):
        return None
    role, _, subject = uri.removeprefix(_SCHEME).partition("/")
    try:
        return Role(role), unquote(subject, errors="strict")
    except (ValueError, UnicodeDecodeError):
        return None
