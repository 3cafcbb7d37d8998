"""The registry's state: components under leases, over any presence store."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta

import msgspec

from rbee.contract.errors import ConflictError, InvalidRequestError, NotFoundError
from rbee.contract.joining import checked_registration
from rbee.contract.presence import PresenceChange, PresenceStore
from rbee.contract.wire import Component, ComponentType, LeaseRenewal, Registration, utc_now

_MOST_SUPERSEDED = 8
_LEAST_SEEN = 256


class ComponentChange(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``GET /v1/registry/events``."""

    type: PresenceChange
    revision: int
    component: Component


class _Held(Component, frozen=True, kw_only=True):
    """A component as the store keeps it.

    Attributes:
        superseded: instances that had the lease before this one, the newest last.
    """

    superseded: tuple[str, ...] = ()


class Leases:
    """Register, renew, drop and list components; knows addresses and never load.

    Args:
        store: an opened store; its life is somebody else's.
        online_s: seconds a lease holds without renewal.
    """

    def __init__(self, store: PresenceStore, online_s: float) -> None:
        self._store = store
        self._online_s = online_s
        self._last_seen: dict[str, datetime] = {}
        self._most_seen = _LEAST_SEEN

    async def register(self, registration: Registration) -> Component:
        """Enter a component, or update it; the same body twice is harmless.

        Raises:
            InvalidRequestError: the id or the address is missing or unusable, or another field is out of bounds.
            ConflictError: a newer instance has the lease, and keeps it: two processes go by one id.
        """
        identity, url = checked_registration(registration)
        key = f"{registration.kind}/{identity}"
        now = utc_now()
        before = await self._find(key)
        same = before is not None and before.instance_id == registration.instance_id
        component = _Held(
            superseded=self._superseded(key, before, registration.instance_id),
            component_type=registration.kind,
            component_id=identity,
            url=url,
            hostname=registration.hostname,
            port=registration.port,
            instance_id=registration.instance_id,
            metadata=_metadata(registration),
            registered_at=before.registered_at if same and before is not None else now,
        )
        await self._store.put(key, msgspec.json.encode(component), self._online_s)
        self._note_seen(key, now)
        return self._living(component, key)

    async def renew(self, renewal: LeaseRenewal) -> None:
        """Keep a lease.

        Raises:
            NotFoundError: there is none, or a newer instance has it: register again.
        """
        key = self._key(renewal)
        if renewal.instance_id:
            present = await self._find(key)
            if present is not None and present.instance_id and present.instance_id != renewal.instance_id:
                # Else a process on its way out would keep its successor's lease alive.
                raise NotFoundError(f"The lease for {key!r} is another instance's; register again.")
        if not await self._store.renew(key, self._online_s):
            raise NotFoundError(f"No lease for {key!r}; register again.")
        self._note_seen(key, utc_now())

    async def drop(self, renewal: LeaseRenewal) -> None:
        """End a lease; one that is not there, or is a newer instance's, is left alone."""
        key = self._key(renewal)
        present = await self._find(key)
        if present is None or (renewal.instance_id and present.instance_id != renewal.instance_id):
            return
        await self._store.drop(key)
        self._last_seen.pop(key, None)

    async def list(self, kind: ComponentType | None = None) -> list[Component]:
        """Components with a living lease, by type and id."""
        entries, _ = await self._store.list(f"{kind}/" if kind else "")
        living = {entry.key for entry in entries}
        if kind is None:
            self._last_seen = {key: seen for key, seen in self._last_seen.items() if key in living}
        return [self._living(msgspec.json.decode(e.value, type=_Held), e.key) for e in entries]

    async def revision(self) -> int:
        """The store's present revision, from which to watch."""
        return await self._store.revision()

    async def watch(self, after: int) -> AsyncGenerator[ComponentChange]:
        """Changes after a revision, without end.

        Raises:
            LookupError: the revision is forgotten; list again.
        """
        async with contextlib.aclosing(self._store.watch("", after)) as events:
            async for event in events:
                component = msgspec.json.decode(event.entry.value, type=Component)
                online = event.change is not PresenceChange.LEFT
                yield ComponentChange(
                    type=event.change,
                    revision=event.entry.revision,
                    component=msgspec.structs.replace(component, online=online),
                )

    async def _find(self, key: str) -> _Held | None:
        entry = await self._store.get(key)
        return None if entry is None else msgspec.json.decode(entry.value, type=_Held)

    @staticmethod
    def _superseded(key: str, before: _Held | None, instance_id: str | None) -> tuple[str, ...]:
        """Instances that may not take the lease back.

        Who comes last wins, so that a process that was started anew, at whatever port, is in at once.  The one before
        it is on its way out; when it goes on all the same, the two would take the lease from each other for ever.  Its
        way back is open as soon as the newer one renews no longer.

        Raises:
            ConflictError: this instance is one of them.
        """
        if before is None:
            return ()
        if instance_id and instance_id in before.superseded:
            raise ConflictError(
                f"{key!r} is in use by a process that was started later, at {before.url!r}. Stop one of the two, or "
                "start it again with another id."
            )
        if instance_id and before.instance_id and before.instance_id != instance_id:
            return (*before.superseded, before.instance_id)[-_MOST_SUPERSEDED:]
        return before.superseded

    def _note_seen(self, key: str, now: datetime) -> None:
        self._last_seen[key] = now
        if len(self._last_seen) > self._most_seen:
            held = now - timedelta(seconds=self._online_s)
            self._last_seen = {key: seen for key, seen in self._last_seen.items() if seen >= held}
            # Looked at again when as many have come as are there: each is paid for once.
            self._most_seen = max(_LEAST_SEEN, 2 * len(self._last_seen))

    def _living(self, held: _Held, key: str) -> Component:
        facts = {name: getattr(held, name) for name in Component.__struct_fields__}
        return Component(**{**facts, "last_seen": self._last_seen.get(key), "online": True})

    @staticmethod
    def _key(renewal: LeaseRenewal) -> str:
        identity = renewal.component_id or renewal.worker_id
        if not identity:
            raise InvalidRequestError("'component_id' (or 'worker_id') is missing.", param="component_id")
        return f"{renewal.component_type or 'worker'}/{identity}"


def _metadata(registration: Registration) -> dict[str, object]:
    """The free facts, with the named ones of the short worker form among them."""
    found: dict[str, object] = dict(registration.metadata)
    for name in ("worker_type", "model", "spawned_by", "hive_id"):
        value = getattr(registration, name)
        if value is not None:
            found[name] = value
    return found
