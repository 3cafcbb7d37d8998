"""A recorded decision told to a person: who was considered, what each lacked, and what made the difference.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from rbee.contract.policy import Policy, Scores
from rbee.contract.wire import Decided, ExplainedDecision, ExplainedHive, ExplainedWorker
from rbee.scheduler.artefacts import Unsuitable, estimates
from rbee.scheduler.place import BUSY, ORDER, Option, has_slot, option, unfit
from rbee.scheduler.recorded import Recorded
from rbee.scheduler.values import Candidate, Decision, HiveView, PlaceRequest, Reason, Start, Use, Wait

_NAMES = MappingProxyType(
    {
        "too_large": "what it would take fits there",
        "no_gpu": "it has a GPU for it",
        "to_stop": "fewer workers have to be stopped there",
        "to_fetch": "the files lie on its disk",
        "further_gpus": "it fits fewer GPUs there",
        "fetch_steps": "the files are there sooner",
        "rank": "a better variant of the model fits there",
        "minus_threads_free": "more processor threads are free there",
    }
)


def explain(recorded: Recorded, policy: Policy | None) -> ExplainedDecision:
    """Why a decision came out as it did.

    Args:
        recorded: the decision, with what it was made from.
        policy: whose scores are told; None for none.
    """
    decision, snapshot = recorded.decision, recorded.snapshot
    views = [one.view for one in snapshot.candidates if unfit(recorded.request, one) is None]
    scores: Scores = {} if policy is None or not views else policy.scores(views, recorded.request.view)
    chosen = decision.worker_id if isinstance(decision, Use) else None
    workers = tuple(_worker(recorded.request, one, chosen, scores) for one in snapshot.candidates)
    hives = None
    if not isinstance(decision, Use) and snapshot.hives is not None:
        hives = _hives(recorded.request, snapshot.hives, decision)
    return ExplainedDecision(
        at=recorded.at,
        decided=decided(decision),
        text=sentence(recorded),
        policy=recorded.policy,
        worker_id=chosen,
        hive_id=_hive_of(decision, snapshot.candidates),
        workers=workers,
        hives=hives,
        tried=recorded.tried,
    )


def decided(decision: Decision) -> Decided:
    """The kind of a decision, in a word."""
    if isinstance(decision, Use):
        return "use"
    if isinstance(decision, Start):
        return "start"
    return "wait" if isinstance(decision, Wait) else "refusal"


def hive_of(recorded: Recorded) -> str | None:
    """The machine on which a decision fell; None for none."""
    return _hive_of(recorded.decision, recorded.snapshot.candidates)


def sentence(recorded: Recorded) -> str:
    """A decision in one sentence."""
    decision, candidates = recorded.decision, recorded.snapshot.candidates
    if isinstance(decision, Use):
        among = sum(unfit(recorded.request, one) is None and has_slot(one) for one in candidates)
        if among <= 1:
            return f"{decision.worker_id} is the only worker that could take it"
        return f"{decision.worker_id} is the first of {among} by policy {recorded.policy!r}"
    if isinstance(decision, Start):
        stopped = f" after stopping {', '.join(decision.evict)}" if decision.evict else ""
        fetched = "" if decision.present else ", once it is fetched"
        where = f"{decision.device} of {decision.hive_id}"
        return f"{decision.engine} is started for {decision.model_id} on {where}{stopped}{fetched}"
    if isinstance(decision, Wait):
        return "a worker of the model is loading" if decision.loading else "every worker of the model is busy"
    return "; ".join(f"{reason.subject}: {reason.text}" for reason in decision.reasons) or "no machine is known"


def _hive_of(decision: Decision, candidates: Sequence[Candidate]) -> str | None:
    if isinstance(decision, Start):
        return decision.hive_id
    if isinstance(decision, Use):
        return next((one.view.hive_id for one in candidates if one.view.worker_id == decision.worker_id), None)
    return None


def _worker(request: PlaceRequest, one: Candidate, chosen: str | None, scores: Scores) -> ExplainedWorker:
    view = one.view
    why = unfit(request, one)
    busy = why is None and not has_slot(one)
    return ExplainedWorker(
        worker_id=view.worker_id,
        hive_id=view.hive_id,
        verdict="chosen" if view.worker_id == chosen else "out" if why else "busy" if busy else "free",
        reason=BUSY if busy else why,
        age_s=view.age_s,
        slots_free=view.slots_free,
        slots_total=view.slots_total,
        scores=dict(scores.get(view.worker_id, {})),
    )


def _hives(request: PlaceRequest, hives: Sequence[HiveView], decision: Decision) -> tuple[ExplainedHive, ...]:
    needs = estimates(request)
    found = [(hive, option(request, hive, needs)) for hive in hives]
    best = min((one for _, one in found if isinstance(one, Option)), key=lambda one: one.order, default=None)
    told = {reason.subject: reason for reason in decision.reasons}
    return tuple(_hive(hive, one, best, told.get(f"hive {hive.hive_id}")) for hive, one in found)


def _hive(hive: HiveView, found: Option | Unsuitable, best: Option | None, told: Reason | None) -> ExplainedHive:
    if isinstance(found, Unsuitable):
        reasons = found.reasons if told is None else (told.text,)
        return ExplainedHive(hive_id=hive.hive_id, verdict="out", reasons=reasons, age_s=hive.age_s)
    reasons = found.start.because
    if best is not None and found is not best:
        reasons = (*reasons, _difference(best, found))
    return ExplainedHive(
        hive_id=hive.hive_id,
        verdict="chosen" if found is best else "possible",
        reasons=reasons,
        age_s=hive.age_s,
        scores=found.scores(),
    )


def _difference(best: Option, other: Option) -> str:
    """What made the better one better."""
    for name, mine, theirs in zip(ORDER, best.order, other.order, strict=False):
        if mine != theirs:
            return f"{best.start.hive_id} is preferred: {_NAMES[name]}"
    return f"{best.start.hive_id} is as good, and comes first by name"
