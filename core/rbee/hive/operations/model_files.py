"""Operations on models on the disk: fetch, look, verify, delete, tidy up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rbee.catalog import CatalogEntry, ModelCatalog, ModelState
from rbee.contract.amounts import byte_size
from rbee.contract.errors import ConflictError, NotFoundError, UnavailableError, UnreachableError
from rbee.contract.types import ModelVariant
from rbee.contract.wire import (
    GarbageCollected,
    ModelDelete,
    ModelDeleted,
    ModelDownload,
    ModelDownloaded,
    ModelGarbage,
    ModelList,
    ModelRecord,
    ModelRequest,
    ModelVerified,
)
from rbee.hive.operations.models import stop_workers, users
from rbee.hive.operations.naming import Naming
from rbee.hive.operations.records import record
from rbee.hive.operations.starting import ACTOR, Starting
from rbee.hive.supervisor import Supervisor
from rbee.jobs import JobHandler, Narrator, parse

if TYPE_CHECKING:
    from rbee.hive.peers import Peers
    from rbee.hive.service import HiveService

_BAD = frozenset({"missing", "changed"})


class ModelFileOperations:
    """Handlers for the models on one hive's disk.

    Args:
        hive: whose.
        catalog: models that are here.
        supervisor: who uses them.
        starting: brings them.
        naming: names to models.
        peers: other hives.
    """

    def __init__(
        self,
        hive: HiveService,
        catalog: ModelCatalog,
        supervisor: Supervisor,
        starting: Starting,
        naming: Naming,
        peers: Peers,
    ) -> None:
        self._hive = hive
        self._catalog = catalog
        self._supervisor = supervisor
        self._starting = starting
        self._naming = naming
        self._peers = peers

    def handlers(self) -> Mapping[str, JobHandler]:
        """By name."""
        return {
            "model_download": self.model_download,
            "model_list": self.model_list,
            "model_get": self.model_get,
            "model_verify": self.model_verify,
            "model_delete": self.model_delete,
            "model_gc": self.model_gc,
        }

    async def model_download(self, body: dict[str, Any], say: Narrator) -> ModelDownloaded:
        """Bring a model to this machine, as its vendor has it now or as another hive has it."""
        wanted = parse(body, ModelDownload)
        if wanted.from_hive is not None:
            variant, peer = await self._peers.named(wanted.from_hive, wanted.model)
            brought = await self._starting.bring(variant, say, only=(peer,))
        else:
            variant = await self._newest(wanted.model, say)
            brought = await self._starting.bring(variant, say)
        origin = brought.origin
        return ModelDownloaded(
            model_id=variant.model_id,
            path=brought.entry.path,
            size_bytes=variant.size_bytes,
            already=brought.already,
            name=variant.name,
            vendor=variant.vendor,
            quantization=variant.quantization,
            fetched_bytes=brought.received_bytes,
            linked_bytes=brought.linked_bytes,
            from_hive=None if origin is None else origin.removeprefix("hive "),
        )

    async def _newest(self, ref: str, say: Narrator) -> ModelVariant:
        """As the vendors have it now; where their source does not answer, what is here will do."""
        try:
            return await self._naming.newest(ref, say)
        except (UnreachableError, UnavailableError) as error:
            here = await self._naming.here(ref)
            if here is None:
                raise
            text = f"{here.name} is here; whether there is a newer revision is not known: {error.message}"
            say.say(ACTOR, "model_download", text, here.model_id)
            return here

    async def model_list(self, _body: dict[str, Any], _say: Narrator) -> ModelList:
        """Models that are here, on their way, or failed to come."""
        records = [await self._record(entry) for entry in await self._catalog.entries()]
        return ModelList(models=tuple(sorted(records, key=lambda one: (one.name, one.model_id))))

    async def model_get(self, body: dict[str, Any], _say: Narrator) -> ModelRecord:
        """One model that is here, on its way, or failed to come."""
        return await self._record(await self._entry(parse(body, ModelRequest).model))

    async def model_verify(self, body: dict[str, Any], say: Narrator) -> ModelVerified:
        """Read every file of a model and compare it with what its vendor promised."""
        entry = await self._entry(parse(body, ModelRequest).model)
        variant = entry.variant
        if entry.state is not ModelState.AVAILABLE:
            why = entry.error or entry.state
            raise ConflictError(
                f"Model {variant.name!r} is not here whole ({why}); fetch it anew: rbee pull {variant.name}"
            )
        size = f" ({byte_size(variant.size_bytes)})" if variant.size_bytes else ""
        say.say(ACTOR, "model_verify", f"Reading {variant.name}{size}", variant.model_id)
        found = tuple(await self._catalog.verify(entry))
        intact = all(one.status not in _BAD for one in found)
        return ModelVerified(model_id=variant.model_id, name=variant.name, intact=intact, files=found)

    async def model_delete(self, body: dict[str, Any], say: Narrator) -> ModelDeleted:
        """Delete a model's files; those used in place are only forgotten."""
        wanted = parse(body, ModelDelete)
        model_id = await self._naming.one(wanted.model)
        using = users(self._supervisor, model_id)
        if using and not wanted.force:
            raise ConflictError(
                f"Model {model_id!r} is in use by {', '.join(using)}. Unload it first, or delete it by force, which "
                "stops them.",
                details={"workers": using},
            )
        await stop_workers(self._hive, self._supervisor, using, say, at_once=False)
        present = await self._catalog.find(model_id)
        freed = None if present is None else await self._catalog.freed_by(present)
        try:
            entry = await self._catalog.remove(model_id, force=wanted.force)
        except NotFoundError:
            if not wanted.missing_ok:
                raise
            return ModelDeleted(model_id=model_id, deleted=False, freed_bytes=0, path=None, stopped=tuple(using))
        name = model_id if entry is None else entry.variant.name
        say.say(ACTOR, "model_delete", f"{name} is deleted", model_id)
        return ModelDeleted(
            model_id=model_id,
            deleted=True,
            freed_bytes=freed,
            path=None if entry is None else entry.path,
            stopped=tuple(using),
        )

    async def model_gc(self, body: dict[str, Any], say: Narrator) -> GarbageCollected:
        """Delete what fetches that nobody goes on with have left."""
        wanted = parse(body, ModelGarbage)
        found = await self._catalog.collect_garbage(dry_run=wanted.dry_run)
        for one in found.removed:
            done = "Would delete" if wanted.dry_run else "Deleted"
            say.say(ACTOR, "model_gc", f"{done} {one.what} ({byte_size(one.size_bytes)}): {one.why}", one.what)
        return found

    async def _entry(self, ref: str) -> CatalogEntry:
        model_id = await self._naming.one(ref)
        for entry in await self._catalog.entries():
            if entry.variant.model_id == model_id:
                return entry
        raise NotFoundError(f"Model {ref!r} is not on this machine; `rbee pull` brings it.")

    async def _record(self, entry: CatalogEntry) -> ModelRecord:
        variant: ModelVariant = entry.variant
        fetch = self._catalog.fetch_of(variant.model_id)
        done = None
        if fetch is not None and variant.in_place is None and variant.files:
            state, done = "downloading", fetch.done
        elif entry.state is not ModelState.AVAILABLE:
            state, done = entry.state.value, await self._catalog.done_bytes(variant)
        else:
            state = "available" if await self._catalog.has_files(entry) else "missing"
        return record(entry, state, users(self._supervisor, variant.model_id), done)
