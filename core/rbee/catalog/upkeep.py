"""Looking after what lies here: entering what is not listed, verifying, tidying up."""

from __future__ import annotations

import asyncio
import functools
import logging
import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from rbee.catalog.adoption import unlisted
from rbee.catalog.cancel import Cancel
from rbee.catalog.fetching import LEAVE_S, take_note
from rbee.catalog.garbage import leftovers
from rbee.catalog.heads import Heads
from rbee.catalog.holding import ModelLocks
from rbee.catalog.layout import TRASH, discard, folder_name, is_complete, set_aside
from rbee.catalog.provisioner import parts_of
from rbee.catalog.store import CatalogEntry, CatalogStore, ModelState
from rbee.catalog.threads import FetchThreads
from rbee.catalog.verification import verdicts
from rbee.contract.errors import UnavailableError
from rbee.contract.wire import FileVerdict, GarbageCollected, GarbageItem

log = logging.getLogger(__name__)

_DAMAGED = frozenset({"missing", "changed"})


class Upkeep:
    """Works on the folder of models beside the fetches, and never on a model that somebody else works on.

    Args:
        folder: of the models.
        store: the list.
        locks: of the models.
        heads: looks into files.
        changed: called when the models that are available have changed.
    """

    def __init__(
        self, folder: Path, store: CatalogStore, locks: ModelLocks, heads: Heads, changed: Callable[[], None]
    ) -> None:
        self._folder = folder
        self._store = store
        self._locks = locks
        self._heads = heads
        self._changed = changed
        self._reading = FetchThreads(1)

    async def adopt(self, busy: Collection[str] = ()) -> list[str]:
        """Enter models that lie here whole and are not listed; returns the ids of those that the list did not take.

        Args:
            busy: ids of those that are being fetched.
        """
        refused = []
        known = {entry.variant.model_id for entry in await self._store.list() if entry.state is ModelState.AVAILABLE}
        for entry in await unlisted(self._folder, {*known, *busy}, self._heads):
            lock = self._locks.of(folder_name(entry.variant.model_id))
            if not lock.locked():
                async with lock:
                    try:
                        await self._store.put(entry)
                    except UnavailableError:
                        refused.append(entry.variant.model_id)
                        continue
                self._changed()
        return refused

    async def verify(self, entry: CatalogEntry) -> Sequence[FileVerdict]:
        """Every file of a model read anew.  One that is damaged is no longer available: the next fetch mends it.

        Cancelled, the reading ends.
        """
        variant, cancel = entry.variant, Cancel()
        kept = variant.in_place is None
        folder = self._folder / folder_name(variant.model_id) if kept else Path(variant.in_place or "")
        work = asyncio.ensure_future(
            self._reading.run(functools.partial(verdicts, variant, folder, cancel), f"verify {variant.model_id}")
        )
        try:
            found = await asyncio.shield(work)
        except asyncio.CancelledError:
            cancel.cancel()
            await asyncio.wait([work], timeout=LEAVE_S)
            work.add_done_callback(take_note)
            raise
        damaged = [one.name for one in found if one.status in _DAMAGED]
        if damaged and kept:
            await self._mark_damaged(entry, damaged)
        return found

    async def collect_garbage(self, *, dry_run: bool, busy: Callable[[], Collection[str]]) -> GarbageCollected:
        """Delete what unfinished fetches have left, folders of no model, and records of models without files.

        Args:
            dry_run: only tell.
            busy: gives the ids of the models that are being fetched at that moment.
        """
        refused = await self.adopt(busy())
        entries = await self._store.list()
        kept = [entry.variant.model_id for entry in entries if entry.state is ModelState.AVAILABLE] + refused
        removed: list[GarbageItem] = []
        for folder, item in await asyncio.to_thread(leftovers, self._folder, kept):
            if folder.parent.name == TRASH:
                if not dry_run:
                    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
                removed.append(item)
                continue
            lock = self._locks.of(folder.name)
            if lock.locked() or folder.name in {folder_name(model_id) for model_id in busy()}:
                continue
            async with lock:
                if not dry_run:
                    await asyncio.to_thread(discard, self._folder, folder)
            removed.append(item)
        removed += await self._forget(entries, dry_run=dry_run, busy=busy, told={item.what for item in removed})
        freed = sum(one.size_bytes for one in removed)
        return GarbageCollected(freed_bytes=freed, removed=tuple(removed), dry_run=dry_run)

    async def _forget(
        self,
        entries: Sequence[CatalogEntry],
        *,
        dry_run: bool,
        busy: Callable[[], Collection[str]],
        told: Collection[str],
    ) -> list[GarbageItem]:
        """Take models out of the list that are not here; one in place stays: its disk may only be away."""
        items = []
        for entry in entries:
            variant = entry.variant
            folder = self._folder / folder_name(variant.model_id)
            available = entry.state is ModelState.AVAILABLE
            if variant.in_place is not None or (available and await asyncio.to_thread(is_complete, variant, folder)):
                continue
            lock = self._locks.of(folder.name)
            if lock.locked() or variant.model_id in busy():
                continue
            async with lock:
                # It may have come, or gone, since the list was read.
                present = await self._store.get(variant.model_id)
                if present is None or present != entry:
                    continue
                if not dry_run:
                    try:
                        await self._store.remove(variant.model_id)
                    except UnavailableError as error:
                        log.warning("%s stays in the list: %s", variant.model_id, error.message)
                        continue
                    self._changed()
            if variant.model_id not in told:
                why = "its files are gone" if available else "a fetch that failed"
                items.append(GarbageItem(what=variant.model_id, size_bytes=0, why=why))
        return items

    async def _mark_damaged(self, entry: CatalogEntry, names: Sequence[str]) -> None:
        """Keep what is good of a model for its next fetch."""
        model_id = entry.variant.model_id
        folder, parts = self._folder / folder_name(model_id), parts_of(self._folder, model_id)

        def make_parts() -> None:
            for name in names:
                (folder / name).unlink(missing_ok=True)
            set_aside(self._folder, parts)
            parts.parent.mkdir(exist_ok=True)
            folder.rename(parts)

        async with self._locks.of(folder.name):
            present = await self._store.get(model_id)
            if present is None or present.state is not ModelState.AVAILABLE:
                return
            await asyncio.to_thread(make_parts)
            why = f"damaged: {', '.join(names[:3])}{' and others' if len(names) > 3 else ''}"
            await self._store.spoil(model_id, why)
            self._changed()
