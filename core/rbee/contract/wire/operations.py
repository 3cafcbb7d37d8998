"""Requests of operations: what `POST /v1/jobs` takes for each, at the queen and at a hive alike."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

import msgspec
from msgspec import Meta

from rbee.contract.wire.memory import LearnedMemory

WorkerId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")]
"""An id becomes a file's name and an argument: a letter or digit, then at most 127 of these, dots, dashes and
underscores."""

_Name = Annotated[str, Meta(min_length=1, max_length=128)]
_Ref = Annotated[str, Meta(min_length=1, max_length=4096)]
_Value = bool | int | float | Annotated[str, Meta(max_length=4096)]


class OperationRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every operation takes.

    Attributes:
        operation: its name.
        hive_id: whose job it is; may be left out where there is one hive.
    """

    operation: str = ""
    hive_id: str | None = None


class ModelRequest(OperationRequest, frozen=True, kw_only=True, omit_defaults=True):
    """``model_get``, ``model_verify``.

    Attributes:
        model: any name that leads to the model: short, canonical, a path, an alias.
    """

    model: _Ref


class ModelDownload(ModelRequest, frozen=True, kw_only=True, omit_defaults=True):
    """``model_download``: asks the vendor anew, also for a model that is here, so that a newer revision is fetched.

    Attributes:
        from_hive: take the files from that hive alone (``rbee model cp``), as they are there.
    """

    from_hive: _Name | None = None


class ModelGarbage(OperationRequest, frozen=True, kw_only=True, omit_defaults=True):
    """``model_gc``.

    Attributes:
        dry_run: say what would be deleted, and delete nothing.
    """

    dry_run: bool = False


class ModelSearch(OperationRequest, frozen=True, kw_only=True, omit_defaults=True):
    """``model_search``, at the queen; with `hive_id` at that hive, whose vendors may be others.

    Attributes:
        query: what a person typed.
        limit: how many models at most.
    """

    query: Annotated[str, Meta(min_length=1, max_length=200)]
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class ModelPlan(ModelRequest, frozen=True, kw_only=True, omit_defaults=True):
    """``model_plan``, at the queen: what each hive would take, and whether it fits; `hive_id` for one of them.

    Attributes:
        context_length: tokens a slot; None for the setting, else for the model's own up to 8192.
        slots: requests at the same time; None for the setting.
    """

    context_length: Annotated[int, Meta(ge=16, le=16_777_216)] | None = None
    slots: Annotated[int, Meta(ge=1, le=1024)] | None = None


class Load(ModelRequest, frozen=True, kw_only=True, omit_defaults=True):
    """``load``, at the queen: have a model served, wherever it fits; `hive_id` for one machine.

    Attributes:
        replicas: workers that are to serve it; more than that stay.
        context_length: tokens a slot of those that are started; None for the setting.
        pin: they are not stopped to make room, nor for idleness.
        keep_alive: how long they stay while idle: seconds, ``5m``, ``-1`` for ever; None as before.
        where: demands on machines and devices, as ``gpu=4090``, ``vram>=24``, ``room=attic``; all have to hold.
    """

    replicas: Annotated[int, Meta(ge=1, le=64)] = 1
    context_length: Annotated[int, Meta(ge=16, le=16_777_216)] | None = None
    pin: bool = False
    keep_alive: Annotated[str, Meta(min_length=1, max_length=32)] | None = None
    where: Annotated[tuple[Annotated[str, Meta(max_length=256)], ...], Meta(max_length=16)] = ()


class Unload(ModelRequest, frozen=True, kw_only=True, omit_defaults=True):
    """``unload``, at the queen: stop a model's workers, or the one whose id `model` is; `hive_id` for one machine.

    Attributes:
        force: do not wait for open requests.
    """

    force: bool = False


class ModelDelete(ModelRequest, frozen=True, kw_only=True, omit_defaults=True):
    """``model_delete``.

    Attributes:
        force: stop the workers that use it, and end a fetch of it, instead of refusing.
        missing_ok: a model that is not there is no error.
    """

    force: bool = False
    missing_ok: bool = False


class ModelUnload(ModelRequest, frozen=True, kw_only=True, omit_defaults=True):
    """``model_unload``.

    Attributes:
        force: do not wait for open requests.
        missing_ok: a model that no worker has is no error.
    """

    force: bool = False
    missing_ok: bool = False


class WorkerSpawn(ModelRequest, frozen=True, kw_only=True, omit_defaults=True):
    """``worker_spawn``, ``model_load``.

    Attributes:
        worker: an engine's name, or a backend; None lets the model's format decide.
        worker_id: None makes one.
        device: id or number of a device, or of several with commas between, ``GPU-0,GPU-1``, over which the model is
            spread; None for the first that an engine for the model drives.
        slots: requests at the same time; None for the setting.
        context_length: tokens a slot; None for the setting.
        options: of the engine, over those that the hive's settings give it.  A worker that is there already keeps its
            own.
        learned: what workers of the model have needed of memory; the queen puts it in.
    """

    worker: _Name | None = None
    worker_id: WorkerId | None = None
    device: str | int | None = None
    slots: Annotated[int, Meta(ge=1, le=1024)] | None = None
    context_length: Annotated[int, Meta(ge=16, le=16_777_216)] | None = None
    options: Annotated[dict[_Name, _Value], Meta(max_length=64)] = {}
    learned: Annotated[tuple[LearnedMemory, ...], Meta(max_length=256)] = ()


class WorkerProcessGet(OperationRequest, frozen=True, kw_only=True, omit_defaults=True):
    """``worker_process_get``; `id` is an older word for `worker_id`."""

    worker_id: WorkerId | None = None
    id: WorkerId | None = None


class WorkerProcessDelete(WorkerProcessGet, frozen=True, kw_only=True, omit_defaults=True):
    """``worker_process_delete``.

    Attributes:
        force: at once, without waiting for open requests.
    """

    force: bool = False


class WorkerCatalogGet(OperationRequest, frozen=True, kw_only=True, omit_defaults=True):
    """``worker_catalog_get``, ``worker_installed_get``, ``worker_install``, ``worker_remove``.

    Attributes:
        worker: name of an engine, as `worker_spawn` takes it.
        vendor: which worker vendor's; needed only where several offer it.
        package: for ``worker_install``, of an engine that no vendor lists: what brings it, by name and version.
    """

    worker: _Name
    vendor: _Name | None = None
    package: Annotated[str, Meta(min_length=1, max_length=256)] | None = None


HIVE_OPERATIONS: Mapping[str, type[OperationRequest]] = MappingProxyType(
    {
        "worker_catalog_list": OperationRequest,
        "worker_catalog_get": WorkerCatalogGet,
        "worker_list_installed": OperationRequest,
        "worker_installed_get": WorkerCatalogGet,
        "worker_install": WorkerCatalogGet,
        "worker_remove": WorkerCatalogGet,
        "worker_spawn": WorkerSpawn,
        "worker_process_list": OperationRequest,
        "worker_process_get": WorkerProcessGet,
        "worker_process_delete": WorkerProcessDelete,
        "model_download": ModelDownload,
        "model_list": OperationRequest,
        "model_get": ModelRequest,
        "model_delete": ModelDelete,
        "model_verify": ModelRequest,
        "model_gc": ModelGarbage,
        "model_search": ModelSearch,
        "model_load": WorkerSpawn,
        "model_unload": ModelUnload,
        "hive_check": OperationRequest,
    }
)
"""Every operation that a hive carries out, with its request; the queen forwards them."""
