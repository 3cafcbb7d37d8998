"""``rbee replay``."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from rbee.cli.console import say
from rbee.cli.context import current
from rbee.cli.exits import OK
from rbee.cli.format import line
from rbee.cli.recordings import policy_called, read_recording
from rbee.cli.tables import print_table
from rbee.cli.words import FILE, NOT_EMPTY
from rbee.scheduler.replaying import Replayed, outcome, replay

_SHOWN = 50


@click.command("replay")
@click.argument("file", type=FILE)
@click.option("--policy", required=True, type=NOT_EMPTY, metavar="NAME", help="Policy that decides anew.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, file: Path, policy: str, as_json: bool) -> int:
    """Make the decisions in FILE again by another policy, and show what would change.

    FILE is what `rbee explain --save FILE` writes.  Each decision is made from what was known when it was made; what
    would have followed from another choice is not: `rbee simulate` is for that.
    """
    decider = policy_called(current(), policy)
    found = replay(read_recording(file), decider)
    if as_json:
        click.echo(msgspec.json.encode(_summary(found, policy)).decode())
        return OK
    if found.changes:
        rows = [
            (
                one.recorded.request_id,
                f"{one.recorded.at.astimezone():%H:%M:%S}",
                one.recorded.model,
                f"{outcome(one.recorded.decision)} ({one.recorded.policy})",
                outcome(one.decision),
            )
            for one in found.changes[:_SHOWN]
        ]
        print_table(("REQUEST", "AT", "MODEL", "WAS", "WOULD BE"), rows, whole={"REQUEST", "AT"})
        if len(found.changes) > _SHOWN:
            say(f"and {len(found.changes) - _SHOWN} more; --json has all")
    _print_shares(found)
    say(line(f"{len(found.changes)} of {found.decisions} decisions would come out otherwise by policy {policy!r}."))
    return OK


def _print_shares(found: Replayed) -> None:
    names = sorted({*found.before, *found.after})
    rows = [(name, str(found.before.get(name, 0)), str(found.after.get(name, 0))) for name in names]
    print_table(("CHOSEN", "WAS", "WOULD BE"), rows, right={"WAS", "WOULD BE"}, whole={"CHOSEN"})


def _summary(found: Replayed, policy: str) -> dict[str, object]:
    changes = [
        {
            "request_id": one.recorded.request_id,
            "at": one.recorded.at,
            "model": one.recorded.model,
            "policy": one.recorded.policy,
            "was": outcome(one.recorded.decision),
            "would_be": outcome(one.decision),
        }
        for one in found.changes
    ]
    return {
        "policy": policy,
        "decisions": found.decisions,
        "changed": len(changes),
        "before": found.before,
        "after": found.after,
        "changes": changes,
    }
