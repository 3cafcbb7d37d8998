"""What is known of one plugin."""

from __future__ import annotations

from typing import Literal

import msgspec


class PluginRecord(msgspec.Struct, kw_only=True, frozen=True):
    """One entry point and what became of it.

    Attributes:
        name: name of the entry point.
        distribution: package that brought it.
        version: of that package.
        builtin: part of rbee itself.
        status: ``loaded``, ``failed`` or ``skipped`` (left out by RBEE_PLUGINS).
        error: why it failed.
        registered: names by kind (``engine``, ``model_vendor``, ...).
    """

    name: str
    distribution: str | None
    version: str | None
    builtin: bool
    status: Literal["loaded", "failed", "skipped"]
    error: str | None = None
    registered: dict[str, tuple[str, ...]] = {}
