"""The catalogue of one hive, with its provisioner inside."""

from __future__ import annotations

import asyncio
import functools
import logging
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from rbee.catalog.fetching import LEAVE_S, Brought, Fetch, Progress, Say, in_loop
from rbee.catalog.heads import Heads
from rbee.catalog.holding import FolderLock, ModelLocks
from rbee.catalog.layout import (
    TRASH,
    checked_names,
    discard,
    disk_bytes,
    folder_name,
    is_complete,
    opened_path,
    set_aside,
)
from rbee.catalog.links import copies_of
from rbee.catalog.provisioner import Gathered, Peer, Sources, done_bytes, gather, parts_of, publish
from rbee.catalog.resolver import Resolver
from rbee.catalog.store import CatalogEntry, CatalogStore, ModelState
from rbee.catalog.threads import FetchThreads
from rbee.catalog.upkeep import Upkeep
from rbee.contract.disk import file_error
from rbee.contract.errors import ConflictError, ModelFileError, NotFoundError, RbeeError, UnavailableError
from rbee.contract.types import ModelVariant
from rbee.contract.wire import FileVerdict, GarbageCollected

log = logging.getLogger(__name__)

PeersOf = Callable[[ModelVariant, Fetch], Awaitable[Sequence[Peer]]]
"""Finds the places other than the vendor that have the very files of a variant; may wait for one that is fetching."""

_NO_ENVIRONMENT: Mapping[str, str] = MappingProxyType({})


def _nothing(_text: str) -> None:
    return


async def _nobody(_variant: ModelVariant, _fetch: Fetch) -> Sequence[Peer]:
    return ()


class ModelCatalog:
    """Models on this machine.

    Args:
        folder: for files and the data base.
        resolver: the vendors.
        peers: asked before the vendor.
        environment: of this program, for the process that looks into files.
    """

    def __init__(
        self,
        folder: Path,
        resolver: Resolver,
        peers: PeersOf = _nobody,
        environment: Mapping[str, str] = _NO_ENVIRONMENT,
    ) -> None:
        self._folder = folder
        self._resolver = resolver
        self._peers = peers
        self._store = CatalogStore(folder / "catalog.db")
        self._fetches: dict[str, Fetch] = {}
        self._threads = FetchThreads()
        self._heads = Heads(environment)
        self._locks = ModelLocks()
        self._program = FolderLock(folder)
        self._upkeep = Upkeep(folder, self._store, self._locks, self._heads, self._changed)
        self.seq = 0
        """Rises whenever the models that are available change, also over a restart."""

    async def open(self) -> None:
        """Open the data base, end what an earlier life has left half-done, and enter models that are not listed.

        Raises:
            ConflictError: another program works in the folder.
            ConfigurationError: the data base cannot be opened.
        """
        await self._store.open()
        try:
            self._program.take()
        except BaseException:
            await self._store.close()
            raise
        # Milliseconds of the clock: of two lives, the later one counts from further on.
        self.seq = int(time.time() * 1000)
        await asyncio.to_thread(shutil.rmtree, self._folder / TRASH, ignore_errors=True)
        await self._store.end_interrupted()
        await self._upkeep.adopt()

    async def close(self) -> None:
        """End what is being fetched; parts stay for a later try.

        A vendor that does not notice is left behind after a few seconds, with its thread.
        """
        tasks = {fetch.task: model_id for model_id, fetch in self._fetches.items() if fetch.task is not None}
        for fetch in self._fetches.values():
            fetch.cancel.cancel()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=LEAVE_S)
            for task in left:
                log.warning("the fetch of %s does not end; leaving it behind", tasks[task])
                task.cancel()
            # Waited for, so that all errors are taken note of.
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._store.close()
        self._program.leave()

    def folder_of(self, model_id: str) -> Path:
        """Where the files of a model are that the catalogue keeps."""
        return self._folder / folder_name(model_id)

    async def entries(self) -> list[CatalogEntry]:
        """Models in any state."""
        return await self._store.list()

    async def list(self) -> list[CatalogEntry]:
        """Models that are here."""
        return [entry for entry in await self._store.list() if entry.state is ModelState.AVAILABLE]

    async def find(self, model_id: str) -> CatalogEntry | None:
        """The model of that canonical name, if all its files are still here."""
        entry = await self._store.get(model_id)
        if entry is None or entry.state is not ModelState.AVAILABLE:
            return None
        return entry if await self.has_files(entry) else None

    async def has_files(self, entry: CatalogEntry) -> bool:
        """Whether the files of an entry are still there."""
        return await asyncio.to_thread(is_complete, entry.variant, self.folder_of(entry.variant.model_id))

    async def ensure(self, variant: ModelVariant, progress: Progress, say: Say = _nothing) -> CatalogEntry:
        """The model, fetched when it is not here; see `bring`."""
        return (await self.bring(variant, progress, say)).entry

    async def bring(
        self, variant: ModelVariant, progress: Progress, say: Say = _nothing, *, only: Sequence[Peer] = ()
    ) -> Brought:
        """The model, fetched when it is not here; callers for one model share one fetch.

        A caller that is cancelled leaves the fetch to the others; when nobody is left, it ends.

        Args:
            variant: what.
            progress: told bytes done and in all.
            say: told sentences.
            only: take the files from there and from nowhere else.

        Raises:
            RbeeError: as the vendor and the provisioner raise.
        """
        places = tuple(peer.name for peer in only)
        while True:
            present = await self.find(variant.model_id)
            if present is not None and present.variant.same_files(variant):
                return Brought(entry=present, already=True)
            fetch = self._fetches.get(variant.model_id)
            if fetch is None or fetch.task is None:
                break
            if fetch.suits(variant, places) and not fetch.cancel.cancelled:
                break
            # Another revision is on its way, or the last one who wanted it has just left: ours begins after it.
            await asyncio.wait([fetch.task])
        if fetch is None:
            fetch = self._fetches[variant.model_id] = Fetch(variant, places)
            fetch.task = asyncio.create_task(self._fetch(variant, fetch, only), name=f"fetch {variant.model_id}")
        async with fetch.watched(progress, say, LEAVE_S):
            if fetch.task is None:
                raise RuntimeError("a fetch without its task")
            return await asyncio.shield(fetch.task)

    def fetching(self) -> tuple[ModelVariant, ...]:
        """Models that are being fetched."""
        return tuple(fetch.variant for fetch in self._fetches.values() if not fetch.cancel.cancelled)

    def fetch_of(self, model_id: str) -> Fetch | None:
        """The fetch of a model that is under way."""
        fetch = self._fetches.get(model_id)
        return None if fetch is None or fetch.cancel.cancelled else fetch

    async def done_bytes(self, variant: ModelVariant) -> int:
        """What is here of a model that is being fetched or failed."""
        return await asyncio.to_thread(done_bytes, variant, self._folder)

    async def remove(self, model_id: str, *, force: bool = False) -> CatalogEntry | None:
        """Forget a model and delete its files and what an unfinished fetch has left, unless they were used in place.

        Args:
            model_id: canonical name.
            force: a fetch of it is ended instead of standing in the way.

        Returns:
            What was there; None when it was parts of a fetch alone.

        Raises:
            NotFoundError: it is not here.
            ConflictError: it is being fetched.
        """
        fetch = self._fetches.get(model_id)
        if fetch is not None and fetch.task is not None:
            if not force and not fetch.cancel.cancelled:
                raise ConflictError(
                    f"Model {model_id!r} is being fetched. Cancel the job that fetches it, or delete it by force."
                )
            fetch.cancel.cancel()
            await asyncio.wait([fetch.task], timeout=LEAVE_S)
            if not fetch.task.done():
                raise ConflictError(f"The fetch of {model_id!r} does not end; delete it again in a while.")
        async with self._locks.of(folder_name(model_id)):
            entry = await self._store.get(model_id)
            parts = parts_of(self._folder, model_id)
            if entry is None and not await asyncio.to_thread(parts.is_dir):
                raise NotFoundError(f"Model {model_id!r} is not on this machine.")
            # The files first: a list without files is made right by the next look, files without a list come back.
            doomed = [await asyncio.to_thread(set_aside, self._folder, parts)]
            if entry is not None and entry.variant.in_place is None:
                doomed.append(await asyncio.to_thread(set_aside, self._folder, self.folder_of(model_id)))
            try:
                await self._store.remove(model_id)
            except UnavailableError:
                # On a full disk the list can be written once the files are gone.
                await _delete(doomed)
                await self._store.remove(model_id)
            self._changed()
        await _delete(doomed)
        return None if entry is None or entry.state is not ModelState.AVAILABLE else entry

    async def freed_by(self, entry: CatalogEntry) -> int:
        """Bytes that the deletion of a model would free; what other models share stays."""
        if entry.variant.in_place is not None:
            return 0
        return await asyncio.to_thread(disk_bytes, self.folder_of(entry.variant.model_id))

    async def verify(self, entry: CatalogEntry) -> Sequence[FileVerdict]:
        """Every file of a model read anew; see `Upkeep.verify`."""
        return await self._upkeep.verify(entry)

    async def collect_garbage(self, *, dry_run: bool) -> GarbageCollected:
        """Delete what nobody goes on with; see `Upkeep.collect_garbage`."""
        return await self._upkeep.collect_garbage(dry_run=dry_run, busy=lambda: tuple(self._fetches))

    def _changed(self) -> None:
        self.seq += 1

    async def _fetch(self, variant: ModelVariant, fetch: Fetch, only: Sequence[Peer]) -> Brought:
        try:
            async with self._locks.of(folder_name(variant.model_id)):
                try:
                    return await self._brought(variant, fetch, only)
                except Exception as error:
                    told = self._in_words(error)
                    await self._failed(variant, fetch, told)
                    if told is error:
                        raise
                    raise told from error
        finally:
            self._fetches.pop(variant.model_id, None)

    async def _brought(self, variant: ModelVariant, fetch: Fetch, only: Sequence[Peer]) -> Brought:
        checked_names(variant)
        vendor = None if only else self._resolver.vendor(variant.vendor)
        fetched = bool(variant.files) and variant.in_place is None
        gathered = Gathered()
        if fetched:
            await self._store.begin(variant)
            if self._threads.busy:
                fetch.say(f"Other models are being fetched; {variant.name} waits for its turn")
            async with self._threads.turn():
                sources = Sources(
                    vendor=vendor,
                    peers=only or await self._peers_of(variant, fetch),
                    copies=copies_of(
                        [(entry.variant, self.folder_of(entry.variant.model_id)) for entry in await self.list()]
                    ),
                )
                tell, say = in_loop(fetch.tell), in_loop(fetch.say)
                work = functools.partial(gather, variant, self._folder, sources, tell, say, fetch.cancel)
                gathered = await self._threads.start(work, f"fetch {variant.model_id}")
        figures = await self._heads.of(variant, parts_of(self._folder, variant.model_id))
        path = (
            await asyncio.to_thread(publish, variant, self._folder) if fetched else opened_path(variant, self._folder)
        )
        entry = CatalogEntry(
            variant=variant,
            path=None if path is None else str(path),
            added_at=datetime.now(UTC),
            figures=figures,
        )
        await self._store.put(entry)
        self._changed()
        return Brought(
            entry=entry,
            received_bytes=gathered.received_bytes,
            linked_bytes=gathered.linked_bytes,
            origin=gathered.origin,
        )

    async def _peers_of(self, variant: ModelVariant, fetch: Fetch) -> Sequence[Peer]:
        """Other places that have the files.  Asked twice: of two that begin together, one may not have been seen."""
        fetch.cancel.raise_if_cancelled()
        peers = await self._peers(variant, fetch)
        if not peers:
            fetch.at_source = True
            peers = await self._peers(variant, fetch)
            fetch.at_source = not peers
        return peers

    def _in_words(self, error: Exception) -> RbeeError:
        """An error for a person, whatever went wrong."""
        if isinstance(error, RbeeError):
            return error
        if isinstance(error, OSError):
            return file_error(self._folder, str(error.filename or "a file of the model"), error)
        log.error("a fetch failed", exc_info=error)
        return RbeeError(f"The fetch failed by a fault of a program ({type(error).__name__}: {error}); see the log.")

    async def _failed(self, variant: ModelVariant, fetch: Fetch, error: RbeeError) -> None:
        """Take note of a failure; that of a model which only the vendor can use in place is nobody's."""
        if variant.in_place is not None or not variant.files:
            return
        cancelled = fetch.cancel.cancelled
        why = "it was cancelled; the same request goes on from where it ended" if cancelled else error.message
        if isinstance(error, ModelFileError) and not await self.done_bytes(variant):
            # Nothing of it is worth keeping: as if it had never been asked for.
            await asyncio.to_thread(discard, self._folder, parts_of(self._folder, variant.model_id))
        await self._store.fail(variant, why)


async def _delete(folders: Sequence[Path | None]) -> None:
    for folder in folders:
        if folder is not None:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
