"""The catalogue of one hive, with its provisioner inside."""

from __future__ import annotations

import asyncio
import functools
import logging
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rbee.catalog.adoption import unlisted
from rbee.catalog.fetching import LEAVE_S, Brought, Fetch, Progress, Say, in_loop
from rbee.catalog.garbage import collect, garbage
from rbee.catalog.heads import Heads
from rbee.catalog.layout import (
    TRASH,
    checked_names,
    discard,
    disk_bytes,
    folder_name,
    is_complete,
    opened_path,
)
from rbee.catalog.links import copies_of
from rbee.catalog.provisioner import Cancel, Gathered, Peer, done_bytes, gather, parts_of, publish
from rbee.catalog.resolver import Resolver
from rbee.catalog.store import CatalogEntry, CatalogStore, ModelState
from rbee.catalog.threads import FetchThreads
from rbee.catalog.verification import verdicts
from rbee.contract.errors import ConflictError, ModelFileError, NotFoundError, RbeeError
from rbee.contract.types import ModelVariant
from rbee.contract.wire import FileVerdict, GarbageCollected

log = logging.getLogger(__name__)

PeersOf = Callable[[ModelVariant, Fetch], Awaitable[Sequence[Peer]]]
"""Finds the places other than the vendor that have the very files of a variant; may wait for one that is fetching."""


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
    """

    def __init__(self, folder: Path, resolver: Resolver, peers: PeersOf = _nobody) -> None:
        self._folder = folder
        self._resolver = resolver
        self._peers = peers
        self._store = CatalogStore(folder / "catalog.db")
        self._fetches: dict[str, Fetch] = {}
        self._threads = FetchThreads()
        self._heads = Heads()
        self.seq = 0
        """Rises whenever the models that are available change, also over a restart."""

    async def open(self) -> None:
        """Open the data base, end what an earlier life has left half-done, and enter models that are not listed."""
        await self._store.open()
        # Milliseconds of the clock: of two lives, the later one counts from further on.
        self.seq = int(time.time() * 1000)
        await asyncio.to_thread(shutil.rmtree, self._folder / TRASH, ignore_errors=True)
        await self._store.end_interrupted()
        await self._adopt()

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
        present = await self.find(variant.model_id)
        if present is not None and present.variant.same_files(variant):
            return Brought(entry=present, already=True)
        while (fetch := self._fetches.get(variant.model_id)) and fetch.cancel.cancelled and fetch.task:
            # The last one who wanted it has just left: a fresh fetch starts once that one is out of the folder.
            await asyncio.wait([fetch.task])
        if fetch is None:
            fetch = self._fetches[variant.model_id] = Fetch(variant)
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
        entry = await self._store.get(model_id)
        parts = parts_of(self._folder, model_id)
        has_parts = await asyncio.to_thread(parts.is_dir)
        if entry is None and not has_parts:
            raise NotFoundError(f"Model {model_id!r} is not on this machine.")
        await self._store.remove(model_id)
        self.seq += 1
        if entry is not None and entry.variant.in_place is None and entry.variant.files:
            await asyncio.to_thread(discard, self._folder, self.folder_of(model_id))
        await asyncio.to_thread(discard, self._folder, parts)
        return None if entry is None or entry.state is not ModelState.AVAILABLE else entry

    async def freed_by(self, entry: CatalogEntry) -> int:
        """Bytes that the deletion of a model would free; what other models share stays."""
        if entry.variant.in_place is not None:
            return 0
        return await asyncio.to_thread(disk_bytes, self.folder_of(entry.variant.model_id))

    async def verify(self, entry: CatalogEntry) -> Sequence[FileVerdict]:
        """Every file of a model read anew; cancelled, the reading ends."""
        variant, cancel = entry.variant, Cancel()
        folder = self.folder_of(variant.model_id) if variant.in_place is None else Path(variant.in_place)
        work = asyncio.ensure_future(
            self._threads.run(functools.partial(verdicts, variant, folder, cancel), f"verify {variant.model_id}")
        )
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            cancel.cancel()
            await asyncio.wait([work], timeout=LEAVE_S)
            raise

    async def collect_garbage(self, *, dry_run: bool) -> GarbageCollected:
        """Delete what unfinished fetches have left, folders of no model, and records of models without files."""
        entries = await self._store.list()
        kept = [entry.variant.model_id for entry in entries if entry.state is ModelState.AVAILABLE]
        found = await asyncio.to_thread(garbage, self._folder, kept, list(self._fetches))
        if not dry_run:
            await asyncio.to_thread(collect, self._folder, found)
            for entry in entries:
                model_id = entry.variant.model_id
                if model_id not in self._fetches and not (
                    entry.state is ModelState.AVAILABLE and await self.has_files(entry)
                ):
                    await self._store.remove(model_id)
                    self.seq += 1
        items = tuple(item for _, item in found)
        return GarbageCollected(freed_bytes=sum(one.size_bytes for one in items), removed=items, dry_run=dry_run)

    async def _fetch(self, variant: ModelVariant, fetch: Fetch, only: Sequence[Peer]) -> Brought:
        try:
            checked_names(variant)
            vendor = None if only else self._resolver.vendor(variant.vendor)
            fetched = bool(variant.files) and variant.in_place is None
            if fetched:
                await self._store.begin(variant)
            gathered = Gathered()
            if fetched:
                peers = only or await self._peers(variant, fetch)
                fetch.at_source = not peers
                copies = copies_of(
                    [(entry.variant, self.folder_of(entry.variant.model_id)) for entry in await self.list()]
                )
                tell, say = in_loop(fetch.tell), in_loop(fetch.say)
                work = functools.partial(gather, vendor, variant, self._folder, peers, copies, tell, say, fetch.cancel)
                gathered = await self._threads.run(work, f"fetch {variant.model_id}")
            figures = await self._heads.of(variant, self._folder)
            path = (
                await asyncio.to_thread(publish, variant, self._folder)
                if fetched
                else opened_path(variant, self._folder)
            )
            entry = CatalogEntry(
                variant=variant,
                path=None if path is None else str(path),
                added_at=datetime.now(UTC),
                figures=figures,
            )
            await self._store.put(entry)
            self.seq += 1
            return Brought(
                entry=entry,
                received_bytes=gathered.received_bytes,
                linked_bytes=gathered.linked_bytes,
                origin=gathered.origin,
            )
        except (RbeeError, OSError) as error:
            await self._failed(variant, fetch, error)
            raise
        finally:
            self._fetches.pop(variant.model_id, None)

    async def _failed(self, variant: ModelVariant, fetch: Fetch, error: Exception) -> None:
        """Take note of a failure; that of a model which only the vendor can use in place is nobody's."""
        if variant.in_place is not None or not variant.files:
            return
        if fetch.cancel.cancelled:
            why = "it was cancelled; the same request goes on from where it ended"
        else:
            why = error.message if isinstance(error, RbeeError) else str(error)
        if isinstance(error, ModelFileError) and not await self.done_bytes(variant):
            # Nothing of it is worth keeping: as if it had never been asked for.
            await asyncio.to_thread(discard, self._folder, parts_of(self._folder, variant.model_id))
        await self._store.fail(variant, why)

    async def _adopt(self) -> None:
        """Enter models that lie here whole and are not listed."""
        known = {entry.variant.model_id for entry in await self.list()}
        for entry in await unlisted(self._folder, known, self._heads):
            await self._store.put(entry)
