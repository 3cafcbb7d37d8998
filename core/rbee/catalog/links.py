"""Files that lie on this machine already: linked, never stored twice."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from rbee.catalog.layout import has_size
from rbee.contract.checksums import content_key
from rbee.contract.disk import file_error
from rbee.contract.own_files import remove_shared
from rbee.contract.types import ModelFile, ModelVariant
from rbee.contract.vendor import ModelVendor

log = logging.getLogger(__name__)

Copies = Mapping[tuple[str, str, int | None], Path]
"""Files of the catalogue by their content."""


def copies_of(models: Iterable[tuple[ModelVariant, Path]]) -> dict[tuple[str, str, int | None], Path]:
    """Every file of the catalogue whose content is known.

    Args:
        models: each with the folder of its files; those in place are left out, whose files may change any time.
    """
    found: dict[tuple[str, str, int | None], Path] = {}
    for variant, folder in models:
        if variant.in_place is None:
            for file in variant.files:
                if (key := content_key(file)) is not None:
                    found.setdefault(key, folder / file.name)
    return found


def forget_links(parts: Path) -> None:
    """Delete links that an earlier try has left: who writes into the parts must not write elsewhere.  Blocks.

    What lies on this machine is linked anew.

    Args:
        parts: folder of an unfinished fetch.

    Raises:
        RbeeError: one cannot be deleted; what `file_error` makes of it.
    """
    for root, folders, names in os.walk(parts):
        here = Path(root)
        linked = [name for name in folders if (here / name).is_symlink()]
        for name in (*linked, *names):
            try:
                remove_shared(here / name)
            except OSError as error:
                raise file_error(here, name, error) from error


def link_known(vendor: ModelVendor | None, variant: ModelVariant, parts: Path, copies: Copies) -> frozenset[str]:
    """Link the files of a variant that lie on this machine into its parts.  Blocks: for a thread.

    A hard link where that can be, so that the file stays when its first owner deletes it; else a symbolic one.

    Args:
        vendor: may know copies outside the catalogue; None for no vendor.
        variant: whose files.
        parts: folder for them.
        copies: of the catalogue.

    Returns:
        Names of the files that were linked; nothing of them has been verified.
    """
    linked = set()
    for file in variant.files:
        target = parts / file.name
        if has_size(target, file.size_bytes) and not target.is_symlink():
            continue
        source = _source(vendor, variant, file, copies)
        if source is not None and _link(source, target):
            linked.add(file.name)
    return frozenset(linked)


def _source(vendor: ModelVendor | None, variant: ModelVariant, file: ModelFile, copies: Copies) -> Path | None:
    key = content_key(file)
    if key is None:
        # What cannot be verified is not taken from elsewhere.
        return None
    candidates = [copies.get(key)]
    if vendor is not None:
        try:
            candidates.append(vendor.held(variant, file))
        except Exception:
            log.exception("model vendor %r could not look for copies", vendor.name)
    for path in candidates:
        if path is not None and has_size(path, file.size_bytes):
            return path
    return None


def _link(source: Path, target: Path) -> bool:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        # The file itself: a cache keeps a link to it under the telling name.
        real = source.resolve(strict=True)
        with contextlib.suppress(OSError):
            target.hardlink_to(real)
            return True
        target.symlink_to(real)
    except OSError as error:
        log.warning("'%s' cannot be linked to '%s': %s", target, source, error)
        return False
    return True
