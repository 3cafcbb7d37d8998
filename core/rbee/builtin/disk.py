"""Room on the disk of the models, as `rbee doctor` and a hive's own check tell it."""

from __future__ import annotations

import shutil
from pathlib import Path

from rbee.contract.checks import Check

_GB = 1_000_000_000
_LITTLE = 10 * _GB
_NONE = 1 * _GB


def check_disk(models: Path) -> Check:
    """Whether there is room for models.

    Args:
        models: their folder; where it is not made yet, the nearest one above it counts.
    """
    folder = next(one for one in (models, *models.parents) if one.exists())
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        remedy = "Make the folder readable, or set RBEE_HOME to one that is."
        return Check(name="disk", status="fail", detail=f"'{folder}': {error.strerror}", remedy=remedy)
    detail = f"{free / _GB:.1f} GB free for models in '{models}'"
    if free >= _LITTLE:
        return Check(name="disk", status="ok", detail=detail)
    remedy = "Delete models that are not needed (operation model_delete), or set RBEE_HOME to a larger disk."
    return Check(name="disk", status="fail" if free < _NONE else "warn", detail=detail, remedy=remedy)
