"""Why a request went where it went: what the queen tells of her decisions."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

WorkerVerdict = Literal["chosen", "free", "busy", "out"]
HiveVerdict = Literal["chosen", "possible", "out"]
Decided = Literal["use", "start", "wait", "refusal"]


class ExplainedWorker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that was considered.

    Attributes:
        worker_id: which.
        hive_id: where it runs; None when unknown.
        verdict: ``chosen``; ``free``, and another one was better; ``busy``; ``out``, since it would not do.
        reason: why, for a person; None for the chosen one and those that were free.
        age_s: seconds since it was heard when the decision was made; None when unknown.
        slots_free: as was known then; None when unknown.
        slots_total: likewise.
        scores: the policy's numbers, by name; empty where it gives none.
    """

    worker_id: str
    hive_id: str | None
    verdict: WorkerVerdict
    reason: str | None = None
    age_s: float | None = None
    slots_free: int | None = None
    slots_total: int | None = None
    scores: dict[str, float] = {}


class ExplainedHive(msgspec.Struct, frozen=True, kw_only=True):
    """A hive that was considered for a new worker.

    Attributes:
        hive_id: which.
        verdict: ``chosen``; ``possible``, and another one was better; ``out``, since nothing could be started there.
        reasons: why, in order.
        age_s: seconds since it was heard when the decision was made; None when unknown.
        scores: what it was ordered by, by name, lower is better, the first that differs decides; empty where it is out.
    """

    hive_id: str
    verdict: HiveVerdict
    reasons: tuple[str, ...] = ()
    age_s: float | None = None
    scores: dict[str, float] = {}


class ExplainedDecision(msgspec.Struct, frozen=True, kw_only=True):
    """One decision about a request.

    Attributes:
        at: when.
        decided: ``use`` a worker, ``start`` one, ``wait``, or ``refusal``.
        text: in one sentence.
        policy: whose order was followed.
        worker_id: that was chosen; None for none.
        hive_id: of that worker, or where one was to be started.
        workers: that were considered.
        hives: that were considered; None when no worker was to be started.
        tried: workers that had failed with the request before and were passed over.
    """

    at: datetime
    decided: Decided
    text: str
    policy: str
    worker_id: str | None = None
    hive_id: str | None = None
    workers: tuple[ExplainedWorker, ...] = ()
    hives: tuple[ExplainedHive, ...] | None = None
    tried: tuple[str, ...] = ()


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """All decisions about a request that are still known, in order.

    Attributes:
        request_id: of the request.
        model: as it named it.
        decisions: at least one.
    """

    request_id: str
    model: str
    decisions: tuple[ExplainedDecision, ...]


class DecisionLine(msgspec.Struct, frozen=True, kw_only=True):
    """The last decision about a request, in short.

    Attributes:
        request_id: of the request.
        at: when.
        model: as it named it.
        decided: as in `ExplainedDecision`.
        worker_id: likewise.
        hive_id: likewise.
        decisions: how many there were.
    """

    request_id: str
    at: datetime
    model: str
    decided: Decided
    worker_id: str | None = None
    hive_id: str | None = None
    decisions: int = 1


class DecisionList(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of which decisions are known, the newest first."""

    decisions: tuple[DecisionLine, ...]
