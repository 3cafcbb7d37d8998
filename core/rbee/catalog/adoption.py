"""Models that lie on the disk and are not listed: the list was lost, or the program ended before it was written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from rbee.catalog.heads import Heads
from rbee.catalog.layout import (
    checked_names,
    folder_name,
    folders_of_models,
    is_complete,
    opened_path,
    read_record,
)
from rbee.catalog.store import CatalogEntry
from rbee.contract.errors import ModelFileError, RbeeError
from rbee.contract.types import ModelVariant

log = logging.getLogger(__name__)


async def unlisted(models: Path, known: Collection[str], heads: Heads) -> list[CatalogEntry]:
    """Entries for folders of models that are whole and not known; they were verified before they got their names.

    Args:
        models: folder of the catalogue.
        known: ids of the models that are listed.
        heads: looks into their files.
    """
    skipped = {folder_name(model_id) for model_id in known}
    found = []
    for folder in await asyncio.to_thread(folders_of_models, models):
        variant = None if folder.name in skipped else await asyncio.to_thread(_whole, folder)
        if variant is None:
            continue
        figures = None
        try:
            figures = await heads.of(variant, folder)
        except ModelFileError as error:
            log.warning("folder '%s' holds no model that can be used: %s", folder, error)
            continue
        except RbeeError as error:
            # It was verified when it came; what it tells of itself can wait.
            log.warning("folder '%s' could not be looked into: %s", folder, error)
        path = opened_path(variant, folder)
        found.append(
            CatalogEntry(
                variant=variant,
                path=None if path is None else str(path),
                added_at=datetime.now(UTC),
                figures=figures,
            )
        )
        log.info("model %s lay here unlisted", variant.model_id)
    return found


def _whole(folder: Path) -> ModelVariant | None:
    variant = read_record(folder)
    if variant is None or folder_name(variant.model_id) != folder.name or variant.in_place is not None:
        return None
    try:
        checked_names(variant)
    except RbeeError:
        return None
    return variant if is_complete(variant, folder) else None
