"""Short names of models: ``/v1/aliases`` at the queen."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """A short name for a model.

    Attributes:
        name: the short one.
        model: what it stands for, in the grammar of models' names.
        created_at: when it was set first.
        updated_at: when it last changed.
    """

    name: str
    model: str
    created_at: datetime
    updated_at: datetime


class AliasList(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /v1/aliases``, by name."""

    aliases: tuple[Alias, ...] = ()


class AliasTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``PUT /v1/aliases/{name}``.

    Attributes:
        model: what the name shall stand for.
    """

    model: Annotated[str, Meta(min_length=1, max_length=4096)]
