"""Decisions as tables and sentences on a terminal."""

from __future__ import annotations

import click

from rbee.cli.console import say
from rbee.cli.format import UNKNOWN, duration, line, text
from rbee.cli.tables import print_table
from rbee.contract.wire import DecisionList, ExplainedDecision, ExplainedHive, ExplainedWorker, Explanation


def print_recent(found: DecisionList) -> None:
    """Requests that can be explained, the newest first."""
    if not found.decisions:
        say("No request has been decided about since the queen started.")
        return
    rows = [
        (
            one.request_id,
            f"{one.at.astimezone():%H:%M:%S}",
            one.model,
            one.decided,
            text(one.worker_id),
            text(one.hive_id),
            str(one.decisions),
        )
        for one in found.decisions
    ]
    headings = ("REQUEST", "AT", "MODEL", "DECIDED", "WORKER", "HIVE", "DECISIONS")
    print_table(headings, rows, right={"DECISIONS"}, whole={"REQUEST", "AT", "DECIDED"})


def print_explanation(found: Explanation) -> None:
    """Every decision about a request."""
    click.echo(line(f"{found.request_id} asked for {found.model}"))
    for one in found.decisions:
        _print_decision(one)


def _print_decision(one: ExplainedDecision) -> None:
    click.echo()
    click.echo(line(f"{one.at.astimezone():%H:%M:%S.%f}"[:12] + f"  {one.decided}: {one.text}"))
    if one.tried:
        click.echo(line(f"passed over, since they had failed with it: {', '.join(one.tried)}"))
    if one.workers:
        rows = [_worker_row(worker) for worker in one.workers]
        headings = ("WORKER", "HIVE", "VERDICT", "SLOTS", "HEARD", "SCORES", "WHY")
        print_table(headings, rows, whole={"WORKER", "VERDICT", "SLOTS"}, right={"HEARD"}, sentences="WHY")
    if one.hives is not None:
        rows = [_hive_row(hive) for hive in one.hives]
        print_table(
            ("HIVE", "VERDICT", "HEARD", "SCORES", "WHY"),
            rows,
            whole={"HIVE", "VERDICT"},
            right={"HEARD"},
            sentences="WHY",
        )


def _worker_row(one: ExplainedWorker) -> tuple[str, ...]:
    return (
        one.worker_id,
        text(one.hive_id),
        one.verdict,
        f"{text(one.slots_free)}/{text(one.slots_total)}",
        _ago(one.age_s),
        _scores(one.scores),
        text(one.reason),
    )


def _hive_row(one: ExplainedHive) -> tuple[str, ...]:
    return (
        one.hive_id,
        one.verdict,
        _ago(one.age_s),
        _scores(one.scores),
        "\n".join(map(line, one.reasons)) or UNKNOWN,
    )


def _ago(age_s: float | None) -> str:
    return UNKNOWN if age_s is None else f"{age_s:.1f} s ago" if age_s < 10 else f"{duration(age_s)} ago"


def _scores(scores: dict[str, float]) -> str:
    return " ".join(f"{name}={number:.3g}" for name, number in scores.items()) or UNKNOWN
