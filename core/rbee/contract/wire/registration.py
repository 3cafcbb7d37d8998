"""Joining the colony: registrations, leases, and components as the registry lists them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

_BASE_URL = re.compile(r"https?://(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")
_PORTS = range(1, 65536)

ComponentType = Literal["queen", "hive", "worker", "gui"]


class Registration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Body of ``POST /v1/registry/register`` (both forms), of the fast path and of the ready callback.

    Attributes:
        component_type: absent in the worker forms.
        component_id: absent in the worker forms.
        worker_id: the id in the worker forms.
        hostname: where it listens, with `port`; or `url` alone.
        port: see `hostname`.
        url: base address; wins over hostname and port.
        metadata: free facts, from which the registry never draws conclusions.
        instance_id: new with every start of the process.
        worker_type: by custom ``llm``.
        model: model the worker serves.
        model_ref: the same in the ready callback.
        spawned_by: ``gui`` or ``hive-<id>``.
        backend: of the ready callback.
        device: of the ready callback; an index or a device id.
        vram_bytes: of the ready callback.
        state: state of the worker at this moment, where the sender knows it.
        hive_id: the hive on whose machine it runs.
        pid: its process on that machine.
        slots_total: requests that a worker serves at the same time, where the sender knows it; its beats correct it.
    """

    component_type: ComponentType | None = None
    component_id: str | None = None
    worker_id: str | None = None
    hostname: str | None = None
    port: int | None = None
    url: str | None = None
    metadata: dict[str, Any] = {}
    instance_id: str | None = None
    worker_type: str | None = None
    model: str | None = None
    model_ref: str | None = None
    spawned_by: str | None = None
    backend: str | None = None
    device: str | int | None = None
    vram_bytes: int | None = None
    state: str | None = None
    hive_id: str | None = None
    pid: int | None = None
    slots_total: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None

    @property
    def identity(self) -> str | None:
        """The component's id, whichever form was used."""
        return self.component_id or self.worker_id

    @property
    def kind(self) -> ComponentType:
        """The component's type; the short forms are workers."""
        return self.component_type or "worker"

    @property
    def address(self) -> str | None:
        """Base address without a trailing slash, None when neither form is complete and sound."""
        if self.url:
            return _base(self.url.rstrip("/"))
        if self.hostname and self.port is not None:
            host = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
            return _base(f"http://{host}:{self.port}")
        return None


def _base(url: str) -> str | None:
    found = _BASE_URL.fullmatch(url)
    sound = found is not None and (found[1] is None or int(found[1]) in _PORTS)
    return url if sound else None


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """A component as the registry lists it."""

    component_type: ComponentType
    component_id: str
    url: str
    hostname: str | None = None
    port: int | None = None
    instance_id: str | None = None
    metadata: dict[str, Any] = {}
    registered_at: datetime | None = None
    last_seen: datetime | None = None
    online: bool | None = None


class ColonyAddresses(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a worker's ``POST /v1/colony``: where queen and registry are now.

    Attributes:
        queen_url: None for none, or for whom the registry names.
        registry_url: None for none.
        hive_pid: process of the hive that has found the worker, on the same machine; None from somebody else.
    """

    queen_url: str | None = None
    registry_url: str | None = None
    hive_pid: int | None = None


class LeaseRenewal(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``POST /v1/registry/heartbeat`` and ``DELETE /v1/registry/unregister``."""

    component_type: ComponentType | None = None
    component_id: str | None = None
    worker_id: str | None = None
    instance_id: str | None = None
