"""What a vendor of a lease store writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from enum import StrEnum
from typing import ClassVar

import msgspec


class PresenceChange(StrEnum):
    """What happened to a key."""

    JOINED = "joined"
    CHANGED = "changed"
    LEFT = "left"


class PresenceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One key with its value.

    Attributes:
        key: ``component_type/component_id``.
        value: opaque bytes; the store never looks inside.
        revision: rises with every change of the store, over all keys.
    """

    key: str
    value: bytes
    revision: int


class PresenceEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A change as `PresenceStore.watch` yields it; `entry` holds the last value for `LEFT`."""

    change: PresenceChange
    entry: PresenceEntry


class PresenceStore(ABC):
    """Keys that vanish unless renewed.

    Shaped so that etcd leases, NATS key-value buckets and Redis keys with expiry fit it.  All methods are called on
    the registry's event loop, after `open` and before `close`.
    """

    name: ClassVar[str]

    async def open(self) -> None:  # noqa: B027  # most stores need nothing
        """Connect; called once before anything else."""

    async def close(self) -> None:  # noqa: B027
        """Let go of connections; called once, also after a failed `open`."""

    @abstractmethod
    async def put(self, key: str, value: bytes, ttl_s: float) -> int:
        """Set a key for `ttl_s` seconds, over whatever was there; returns the new revision.

        An equal value only renews: no revision, no event; the entry's revision is returned.
        """

    @abstractmethod
    async def renew(self, key: str, ttl_s: float) -> bool:
        """Give a living key `ttl_s` more seconds from now; False when it is absent or expired."""

    @abstractmethod
    async def drop(self, key: str) -> bool:
        """Remove a key; False when it was absent, which is no error."""

    @abstractmethod
    async def list(self, prefix: str = "") -> tuple[list[PresenceEntry], int]:
        """Living keys that begin with `prefix`, sorted, and the store's revision at that moment."""

    async def get(self, key: str) -> PresenceEntry | None:
        """The living key, None when it is absent or expired.

        By default looked for in what `list` says; a store that can ask for one key should.
        """
        entries, _ = await self.list(key)
        return next((entry for entry in entries if entry.key == key), None)

    async def revision(self) -> int:
        """The store's present revision, from which to watch.

        By default that of a `list` of nothing; a store that can ask for it alone should.
        """
        # No key begins with this character.
        return (await self.list("\0"))[1]

    @abstractmethod
    def watch(self, prefix: str = "", after: int = 0) -> AsyncGenerator[PresenceEvent]:
        """Every change with a revision above `after`, in order, until the store is closed; expiry counts as `LEFT`.

        Written as an ``async def`` that yields; who watches closes it, at which it lets go of what it holds.

        Raises:
            LookupError: `after` is older than the store remembers, or newer than its present revision, as after a
                store has begun anew: list anew and watch from there.
        """
