"""``rbee simulate``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import msgspec

from rbee.cli.console import can_redraw, say
from rbee.cli.context import current
from rbee.cli.exits import OK
from rbee.cli.format import duration, line
from rbee.cli.recordings import policy_called
from rbee.cli.simulated import print_simulated
from rbee.cli.words import FILE, NOT_EMPTY
from rbee.contract.policy import Policy

_RANDOM = "random"


@click.command("simulate")
@click.option("--hives", required=True, type=FILE, metavar="FILE", help="YAML file of the machines.")
@click.option("--load", required=True, type=FILE, metavar="FILE", help="YAML file of what is asked of them.")
@click.option(
    "--policy",
    "policies",
    multiple=True,
    type=NOT_EMPTY,
    metavar="NAME",
    help="Policy to try; may be repeated, and others are compared with the first. `random` is there to compare with. "
    "The colony's, when none is given.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of all dice: the same gives the same.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, hives: Path, load: Path, policies: tuple[str, ...], seed: int, as_json: bool) -> int:
    """Try policies on machines and a load that files describe, on a simulated clock.

    The decisions are made by the colony's own code, with its settings; only machines and time are simulated.

    \b
    rbee simulate --hives fleet.yaml --load load.yaml
    rbee simulate --hives fleet.yaml --load load.yaml --policy round-robin --policy balanced
    """  # noqa: D301  # \b is click's mark for text that must not be rewrapped
    from rbee.simulation import check_together, read_fleet, read_load, read_recorded, simulate

    settings = current().settings
    fleet, asked = read_fleet(hives), read_load(load)
    check_together(fleet, hives, asked, load)
    recorded = read_recorded(load, asked)
    names = tuple(dict.fromkeys(policies)) or (settings.queen.policy,)
    deciders = [_policy(name, seed) for name in names]
    found = []
    for policy in deciders:
        with _progress(policy.name, asked.duration_s) as progress:
            found.append(simulate(fleet, asked, policy, settings, seed, recorded, progress))
    if as_json:
        click.echo(msgspec.json.encode({"seed": seed, "runs": found}).decode())
        return OK
    print_simulated(found, asked)
    wall = sum(one.wall_s for one in found)
    say(
        line(
            f"{duration(asked.duration_s)} of load on {found[0].hives} hives, {len(found)} times in {wall:.1f} s; "
            f"seed {seed}."
        )
    )
    return OK


def _policy(name: str, seed: int) -> Policy:
    from rbee.simulation import RandomPolicy

    return RandomPolicy(seed) if name == _RANDOM else policy_called(current(), name)


@contextlib.contextmanager
def _progress(name: str, whole_s: float) -> Iterator[Callable[[float], None] | None]:
    """A bar on a terminal; nothing elsewhere."""
    if not can_redraw():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(name, total=whole_s)
        yield lambda now: bar.update(task, completed=min(now, whole_s))
