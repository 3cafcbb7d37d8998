"""Results of operations on models: the payload of a job's last ``data`` event, ``result``.  Unknown values are null."""

from __future__ import annotations

from datetime import datetime

import msgspec

from rbee.contract.figures import ModelFigures
from rbee.contract.types import DeviceShare, ModelFile, ModelVariant
from rbee.contract.vendor import ModelHit


class ModelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A model on a hive's machine.

    Attributes:
        model_id: canonical name.
        name: what a person types to get it.
        vendor: where it came from.
        format: ``gguf``, ``safetensors``, ...
        state: ``available``; ``downloading``; ``failed``, with what came in parts that a further try goes on from;
            ``missing`` when its files have gone or changed behind rbee's back.
        quantization: None when unknown.
        revision: the vendor's; None where there is none.
        size_bytes: of all files; None when unknown.
        path: what an engine is pointed at; None while it is fetched, and for a model without files.
        in_place: its files lie where their owner put them and are never deleted.
        context_length: the model's own, in tokens.
        added_at: when it became available; None while it is fetched.
        workers: ids of this hive's workers that have it.
        files: of the model; the first is the one that an engine is pointed at.
        figures: what its files tell of it; None until they were looked into.
        done_bytes: of a model that is being fetched, or failed, what is here of it.
        error: why the last fetch failed; None for one that did not.
    """

    model_id: str
    name: str
    vendor: str
    format: str
    state: str
    quantization: str | None
    revision: str | None
    size_bytes: int | None
    path: str | None
    in_place: bool
    context_length: int | None
    added_at: datetime | None
    workers: tuple[str, ...]
    files: tuple[ModelFile, ...] = ()
    figures: ModelFigures | None = None
    done_bytes: int | None = None
    error: str | None = None


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """``model_list``: by name."""

    models: tuple[ModelRecord, ...]


class ModelDownloaded(msgspec.Struct, frozen=True, kw_only=True):
    """``model_download``.

    Attributes:
        model_id: canonical name.
        path: what an engine is pointed at.
        size_bytes: of all files; None when unknown.
        already: nothing had to be done.
        name: what a person types to get it.
        vendor: where it comes from.
        quantization: None when unknown.
        fetched_bytes: that came over a line for this job; 0 for what was here or linked.
        linked_bytes: of files that lay on this machine already, under another model or in another program's cache.
        from_hive: the hive whose copy was taken; None for the vendor's own.
    """

    model_id: str
    path: str | None
    size_bytes: int | None
    already: bool
    name: str | None = None
    vendor: str | None = None
    quantization: str | None = None
    fetched_bytes: int | None = None
    linked_bytes: int | None = None
    from_hive: str | None = None


class ModelDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """``model_delete``.

    Attributes:
        model_id: canonical name; as it was asked for when it was not there.
        deleted: False when it was not there, with `missing_ok`.
        freed_bytes: None when unknown, 0 for a model whose files were used in place.
        path: where it was.
        stopped: workers that were stopped for it.
    """

    model_id: str
    deleted: bool
    freed_bytes: int | None
    path: str | None
    stopped: tuple[str, ...]


class FileVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """One file as `model_verify` found it.

    Attributes:
        name: of the file.
        status: ``ok``; ``unchecked``, whole but of a vendor that gives no checksum; ``missing``; ``changed``.
        detail: what was found, for a person; None when there is nothing to add.
    """

    name: str
    status: str
    detail: str | None = None


class ModelVerified(msgspec.Struct, frozen=True, kw_only=True):
    """``model_verify``: sizes and checksums, read anew.

    Attributes:
        model_id: canonical name.
        name: what a person types to get it.
        intact: no file is missing or changed.
        files: each with its verdict.
    """

    model_id: str
    name: str
    intact: bool
    files: tuple[FileVerdict, ...]


class GarbageItem(msgspec.Struct, frozen=True, kw_only=True):
    """What `model_gc` deleted, or would.

    Attributes:
        what: model id where it is known, else a folder's name.
        size_bytes: on the disk.
        why: for a person.
    """

    what: str
    size_bytes: int
    why: str


class GarbageCollected(msgspec.Struct, frozen=True, kw_only=True):
    """``model_gc``: parts of fetches that nobody goes on with, and records of models without files."""

    freed_bytes: int
    removed: tuple[GarbageItem, ...]
    dry_run: bool


class ModelsFound(msgspec.Struct, frozen=True, kw_only=True):
    """``model_search``.

    Attributes:
        models: best first, vendor by vendor.
        failed: why a vendor could not be asked, by its name.
    """

    models: tuple[ModelHit, ...]
    failed: dict[str, str]


class PlanRow(msgspec.Struct, frozen=True, kw_only=True):
    """One hive in a plan.

    Attributes:
        hive_id: which.
        chosen: the artefact it would take; None when none suits.
        engine: that would open it.
        device: id of the device it would run on, of several with commas between.
        file: the file that the engine is pointed at.
        size_bytes: to be on its disk.
        present: it is there already.
        memory_bytes: need at that context length, the estimate with its reserve; None when it cannot be told.
        estimate_bytes: of that need, what follows from the model's figures; None when it cannot be estimated.
        reserve_bytes: of that need, what was learned of workers; below 0 where they needed less than estimated, None
            where nothing was learned.
        weights_bytes, cache_bytes, overhead_bytes: parts of the estimate.
        peak_bytes: the most that the last worker of this model, engine and way of driving the device used; None when
            none was seen.
        peak_hive_id: where that was: there, or elsewhere where none was seen there.
        peak_context_length, peak_slots: that worker's; None when unknown.
        error_pct: how far the estimate for that worker was off, in per cent of its peak; above 0 for too much.
        free_bytes: memory of the device that is free now, of several in all; None when unknown.
        shares: of several devices, what it would be given of each; empty for one, and where it does not fit.
        context_length: tokens a slot the estimate is for.
        slots: requests at the same time, likewise.
        disk_needed_bytes: that are still to come to its disk, at the most: what lies there of other models, or has come
            before, is taken from there; 0 where nothing has to come, None when unknown.
        disk_free_bytes: room for models on its disk, without what rbee leaves untouched; None when unknown.
        fits: its memory and its disk have room; None when unknown.
        reasons: why this one and not the others, in order; for a hive where none suits, why.
    """

    hive_id: str
    chosen: ModelVariant | None = None
    engine: str | None = None
    device: str | None = None
    file: str | None = None
    size_bytes: int | None = None
    present: bool = False
    memory_bytes: int | None = None
    estimate_bytes: int | None = None
    reserve_bytes: int | None = None
    weights_bytes: int | None = None
    cache_bytes: int | None = None
    overhead_bytes: int | None = None
    peak_bytes: int | None = None
    peak_hive_id: str | None = None
    peak_context_length: int | None = None
    peak_slots: int | None = None
    error_pct: float | None = None
    free_bytes: int | None = None
    context_length: int | None = None
    slots: int | None = None
    disk_needed_bytes: int | None = None
    disk_free_bytes: int | None = None
    fits: bool | None = None
    reasons: tuple[str, ...] = ()
    shares: tuple[DeviceShare, ...] = ()


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """``model_plan``.

    Attributes:
        model: as it was asked for.
        variants: what the vendor has, best first.
        hives: by id.
    """

    model: str
    variants: tuple[ModelVariant, ...]
    hives: tuple[PlanRow, ...]


class HeldModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that a hive has whole, as it tells the queen and other hives.

    Attributes:
        variant: what it is.
        key: its name in ``GET /v1/models/{key}/files/{name}``.
        figures: what its files tell of it.
    """

    variant: ModelVariant
    key: str
    figures: ModelFigures | None = None


class HeldModels(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of a hive's ``GET /v1/catalog``.

    Attributes:
        hive_id: whose.
        models_seq: as in `HiveInfo`: rises whenever the list changes.
        models: by canonical name.
    """

    hive_id: str
    models_seq: int
    models: tuple[HeldModel, ...]


class ModelStanding(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of a hive's ``GET /v1/catalog/{key}``: how far another hive is with a model.

    Attributes:
        hive_id: whose.
        key: as in `HeldModel`.
        state: ``available``, or ``downloading``.
        variant: what it is.
        done_bytes: of one that is being fetched, what is there.
        at_source: its bytes come from the vendor, so that it is worth waiting for.
    """

    hive_id: str
    key: str
    state: str
    variant: ModelVariant
    done_bytes: int | None = None
    at_source: bool = False


class ModelUnloaded(msgspec.Struct, frozen=True, kw_only=True):
    """``model_unload``: ids of the workers that were stopped."""

    model_id: str
    stopped: tuple[str, ...]


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """``load``.

    Attributes:
        model: as it was named.
        workers: ids of all that serve it, where it was asked for.
        started: how many of them were started for it.
        pinned: it is pinned, by this or before.
        keep_alive_s: how long it stays while idle, by this or as was said before, -1 for ever; None when the colony's
            setting holds.
    """

    model: str
    workers: tuple[str, ...]
    started: int
    pinned: bool = False
    keep_alive_s: float | None = None


class Unloaded(msgspec.Struct, frozen=True, kw_only=True):
    """``unload``: ids of the workers that were stopped."""

    model: str
    stopped: tuple[str, ...]
