"""What a check of the surroundings found: one line of ``rbee doctor``."""

from __future__ import annotations

from typing import Literal

import msgspec

CheckStatus = Literal["ok", "warn", "fail"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at, what was found, and what to do about it.

    Attributes:
        name: what was looked at, in a word or two.
        status: ``ok``; ``warn`` works, but not as well as it could; ``fail`` does not work.
        detail: what was found, one line.
        remedy: what to do about it; None where there is nothing to do.
    """

    name: str
    status: CheckStatus
    detail: str
    remedy: str | None = None
