"""What nobody goes on with: found, and deleted when asked to.  Everything here blocks."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from rbee.catalog.layout import PARTS, TRASH, discard, disk_bytes, folder_name, folders_of_models, read_record
from rbee.contract.wire import GarbageItem


def garbage(models: Path, kept: Collection[str], busy: Collection[str]) -> list[tuple[Path, GarbageItem]]:
    """Folders that hold no model of the catalogue and nothing that is being fetched.

    Args:
        models: folder of the catalogue.
        kept: ids of the models that are available.
        busy: ids of those that are being fetched.
    """
    under_way = {folder_name(model_id) for model_id in busy}
    wanted = {folder_name(model_id) for model_id in kept} | under_way
    parts = [folder for folder in folders_of_models(models / PARTS) if folder.name not in under_way]
    strangers = [folder for folder in folders_of_models(models) if folder.name not in wanted]
    return [
        *((folder, _item(folder, "parts of a fetch that did not end")) for folder in parts),
        *((folder, _item(folder, "no model of the list")) for folder in strangers),
        *((folder, _item(folder, "was being deleted")) for folder in folders_of_models(models / TRASH)),
    ]


def collect(models: Path, found: list[tuple[Path, GarbageItem]]) -> None:
    """Delete what `garbage` has found."""
    for folder, _ in found:
        if folder.parent.name == TRASH:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            discard(models, folder)


def _item(folder: Path, why: str) -> GarbageItem:
    variant = read_record(folder)
    what = folder.name if variant is None else variant.model_id
    return GarbageItem(what=what, size_bytes=disk_bytes(folder), why=why)
