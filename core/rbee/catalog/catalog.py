"""The catalogue of one hive, with its provisioner inside."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import shutil
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

from rbee.catalog.provisioner import PARTS, TRASH, Cancel, discard, folder_name, is_complete, provision
from rbee.catalog.resolver import Resolver
from rbee.catalog.store import CatalogEntry, CatalogStore
from rbee.catalog.threads import FetchThreads
from rbee.contract.errors import ConflictError, NotFoundError
from rbee.contract.types import ModelVariant

log = logging.getLogger(__name__)

Progress = Callable[[int, int | None], None]

_LEAVE_S = 5.0
"""How long a vendor gets to notice that it was cancelled before nobody waits for it any more."""


class _Fetch:
    """One fetch under way, shared by all who want the model."""

    def __init__(self, variant: ModelVariant) -> None:
        self.variant = variant
        self.cancel = Cancel()
        self.watchers: dict[object, Progress] = {}
        self.wanted_by = 0
        self.task: asyncio.Task[CatalogEntry] | None = None

    def tell(self, done: int, total: int | None) -> None:
        for watcher in list(self.watchers.values()):
            watcher(done, total)


class ModelCatalog:
    """Models on this machine.

    Args:
        folder: for files and the data base.
        resolver: the vendors.
    """

    def __init__(self, folder: Path, resolver: Resolver) -> None:
        self._folder = folder
        self._resolver = resolver
        self._store = CatalogStore(folder / "catalog.db")
        self._fetches: dict[str, _Fetch] = {}
        self._threads = FetchThreads()

    async def open(self) -> None:
        """Open the data base; what an earlier life was about to delete is deleted now."""
        await self._store.open()
        await asyncio.to_thread(shutil.rmtree, self._folder / TRASH, ignore_errors=True)

    async def close(self) -> None:
        """End what is being fetched; parts stay for a later try.

        A vendor that does not notice is left behind after a few seconds, with its thread.
        """
        tasks = {fetch.task: model_id for model_id, fetch in self._fetches.items() if fetch.task is not None}
        for fetch in self._fetches.values():
            fetch.cancel.cancel()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=_LEAVE_S)
            for task in left:
                log.warning("the fetch of %s does not end; leaving it behind", tasks[task])
                task.cancel()
            # Waited for, so that all errors are taken note of.
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._store.close()

    async def list(self) -> list[CatalogEntry]:
        """Models that are here."""
        return await self._store.list()

    async def find(self, model_id: str) -> CatalogEntry | None:
        """The model of that canonical name, if all its files are still here."""
        entry = await self._store.get(model_id)
        if entry is None:
            return None
        return entry if await self.has_files(entry) else None

    async def ensure(self, variant: ModelVariant, progress: Progress) -> CatalogEntry:
        """The model, fetched when it is not here; callers for one model share one fetch.

        A caller that is cancelled leaves the fetch to the others; when nobody is left, it ends.

        Raises:
            RbeeError: as the vendor and the provisioner raise.
        """
        present = await self.find(variant.model_id)
        if present is not None and present.variant == variant:
            return present
        while (fetch := self._fetches.get(variant.model_id)) and fetch.cancel.cancelled and fetch.task:
            # The last one who wanted it has just left: a fresh fetch starts once that one is out of the folder.
            await asyncio.wait([fetch.task])
        if fetch is None:
            fetch = self._fetches[variant.model_id] = _Fetch(variant)
            fetch.task = asyncio.create_task(self._fetch(variant, fetch), name=f"fetch {variant.model_id}")
        async with _watching(fetch, progress):
            if fetch.task is None:
                raise RuntimeError("a fetch without its task")
            return await asyncio.shield(fetch.task)

    def fetching(self) -> tuple[ModelVariant, ...]:
        """Models that are being fetched."""
        return tuple(fetch.variant for fetch in self._fetches.values() if not fetch.cancel.cancelled)

    async def has_files(self, entry: CatalogEntry) -> bool:
        """Whether the files of an entry are still there."""
        path = None if entry.path is None else Path(entry.path)
        return await asyncio.to_thread(is_complete, entry.variant, path)

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
            await asyncio.wait([fetch.task], timeout=_LEAVE_S)
            if not fetch.task.done():
                raise ConflictError(f"The fetch of {model_id!r} does not end; delete it again in a while.")
        entry = await self._store.get(model_id)
        parts = self._folder / PARTS / folder_name(model_id)
        has_parts = await asyncio.to_thread(parts.is_dir)
        if entry is None and not has_parts:
            raise NotFoundError(f"Model {model_id!r} is not on this machine.")
        await self._store.remove(model_id)
        if entry is not None and entry.variant.in_place is None and entry.variant.files:
            await asyncio.to_thread(discard, self._folder, self._folder / folder_name(model_id))
        await asyncio.to_thread(discard, self._folder, parts)
        return entry

    async def _fetch(self, variant: ModelVariant, fetch: _Fetch) -> CatalogEntry:
        loop = asyncio.get_running_loop()

        def progress(done: int, total: int | None) -> None:
            # The loop is closed when the program ends under a fetch; nobody listens then.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(fetch.tell, done, total)

        try:
            vendor = self._resolver.vendor(variant.vendor)
            work = functools.partial(provision, vendor, variant, self._folder, progress, fetch.cancel)
            path = await self._threads.run(work, f"fetch {variant.model_id}")
            entry = CatalogEntry(variant=variant, path=None if path is None else str(path), added_at=datetime.now(UTC))
            await self._store.put(entry)
            return entry
        finally:
            self._fetches.pop(variant.model_id, None)


@contextlib.asynccontextmanager
async def _watching(fetch: _Fetch, progress: Progress) -> AsyncIterator[None]:
    me = object()
    fetch.watchers[me] = progress
    fetch.wanted_by += 1
    try:
        yield
    finally:
        fetch.watchers.pop(me, None)
        fetch.wanted_by -= 1
        if fetch.wanted_by == 0 and fetch.task is not None and not fetch.task.done():
            fetch.cancel.cancel()
            # Waited for a moment, so that who left finds it ended; a new fetch of the same model waits in any case.
            # However it ends: the reason for leaving is what the caller must hear.
            await asyncio.wait([fetch.task], timeout=_LEAVE_S)
