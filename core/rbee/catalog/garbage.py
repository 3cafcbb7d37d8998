"""What nobody goes on with.  Everything here blocks."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from rbee.catalog.layout import (
    PARTS,
    TRASH,
    disk_bytes,
    folder_name,
    folders_of_models,
    read_record,
)
from rbee.contract.wire import GarbageItem


def leftovers(models: Path, kept: Collection[str]) -> list[tuple[Path, GarbageItem]]:
    """Folders of rbee's own that hold no model of the list: what fetches and deletions have left.

    A folder without rbee's record in it is somebody else's, and is left alone.

    Args:
        models: folder of the catalogue.
        kept: ids of the models that are available.
    """
    wanted = {folder_name(model_id) for model_id in kept}
    found = [
        (folder, _item(folder, "parts of a fetch that did not end")) for folder in folders_of_models(models / PARTS)
    ]
    found += [
        (folder, _item(folder, "no model of the list"))
        for folder in folders_of_models(models)
        if folder.name not in wanted and _is_ours(folder)
    ]
    return found + [(folder, _item(folder, "was being deleted")) for folder in folders_of_models(models / TRASH)]


def _is_ours(folder: Path) -> bool:
    variant = read_record(folder)
    return variant is not None and folder_name(variant.model_id) == folder.name


def _item(folder: Path, why: str) -> GarbageItem:
    variant = read_record(folder)
    what = folder.name if variant is None else variant.model_id
    return GarbageItem(what=what, size_bytes=disk_bytes(folder), why=why)
