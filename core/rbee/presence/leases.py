"""The registry's state: components under leases, over any presence store."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from datetime import datetime

import msgspec

from rbee.contract.errors import InvalidRequestError, NotFoundError
from rbee.contract.presence import PresenceChange, PresenceStore
from rbee.contract.wire import Component, ComponentType, LeaseRenewal, Registration, utc_now

_MAX_ID = 200


class ComponentChange(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``GET /v1/registry/events``."""

    type: PresenceChange
    revision: int
    component: Component


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

    async def register(self, registration: Registration) -> Component:
        """Enter a component, or update it; the same body twice is harmless.

        Raises:
            InvalidRequestError: the id or the address is missing or unusable.
        """
        identity, url = registration.identity, registration.address
        if not identity or len(identity) > _MAX_ID or "/" in identity or not identity.isprintable():
            raise InvalidRequestError(
                "A registration needs 'component_id' (or 'worker_id') of 1 to 200 printable characters without '/'.",
                param="component_id",
            )
        if url is None or not url.startswith(("http://", "https://")):
            raise InvalidRequestError(
                f"Registration of {identity!r} needs 'url', or 'hostname' and 'port'.", param="url"
            )
        key = f"{registration.kind}/{identity}"
        now = utc_now()
        before = await self._find(key)
        same = before is not None and before.instance_id == registration.instance_id
        component = Component(
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
        self._last_seen[key] = now
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
        self._last_seen[key] = utc_now()

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
        return [self._living(msgspec.json.decode(e.value, type=Component), e.key) for e in entries]

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

    async def _find(self, key: str) -> Component | None:
        entry = await self._store.get(key)
        return None if entry is None else msgspec.json.decode(entry.value, type=Component)

    def _living(self, component: Component, key: str) -> Component:
        return msgspec.structs.replace(component, last_seen=self._last_seen.get(key), online=True)

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
