"""Logs, as a hive tells of them."""

from __future__ import annotations

import msgspec


class LogPart(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of a hive's ``GET /v1/workers/{worker_id}/log``.

    Attributes:
        worker_id: whose log.
        text: lines; what is no UTF-8 is replaced.
        after: the place behind it, for the next question.
        left_out: bytes before it that were too much for one answer; None when they were not counted.
    """

    worker_id: str
    text: str
    after: str
    left_out: int | None = 0
