"""``rbee model plan``."""

from __future__ import annotations

import click
import msgspec

from rbee.cli.asked import ask_colony
from rbee.cli.console import say
from rbee.cli.exits import OK
from rbee.cli.format import UNKNOWN, byte_size, line, text
from rbee.cli.hives import check_hive_options, hive_filter
from rbee.cli.tables import print_table
from rbee.cli.words import MODEL
from rbee.contract.wire import Planned, PlanRow

_HEADINGS = ("HIVE", "CHOSEN", "FILE", "SIZE", "DISK", "MEMORY", "RESERVE", "PEAK", "ERROR", "FREE", "FITS", "WHY")
_FIGURES = frozenset({"SIZE", "DISK", "MEMORY", "RESERVE", "PEAK", "ERROR", "FREE"})


@click.command("plan")
@click.argument("model", type=MODEL)
@click.option("--context-length", type=click.IntRange(16, 16_777_216), metavar="N", help="Tokens a slot.")
@click.option("--slots", type=click.IntRange(1, 1024), metavar="N", help="Requests served at the same time.")
@hive_filter
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    *,
    model: str,
    context_length: int | None,
    slots: int | None,
    hive_id: str | None,
    all_hives: bool,
    as_json: bool,
) -> int:
    """Say what each hive would take of MODEL, what it needs of disk and memory, and if it fits.  Nothing is fetched."""
    check_hive_options(hive_id, all_hives=all_hives)
    fields = {"model": model, "context_length": context_length, "slots": slots, "hive_id": hive_id}
    found = ask_colony("model_plan", fields, Planned)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return OK
    if not found.hives:
        say("No hive is online to plan for. Start one: rbee hive start")
        return OK
    rows = [plan_row(one) for one in found.hives]
    print_table(_HEADINGS, rows, right=_FIGURES, whole={"HIVE", "FITS"}, sentences="WHY")
    for sentence in sorted({_measure(one) for one in found.hives if one.memory_bytes is not None}):
        say(sentence)
    return OK


def plan_row(row: PlanRow) -> tuple[str, ...]:
    """Cells of one hive."""
    chosen = row.chosen
    facts = () if chosen is None else (chosen.quantization, chosen.format)
    return (
        row.hive_id,
        " ".join(fact for fact in facts if fact) or UNKNOWN,
        text(row.file),
        f"{byte_size(row.size_bytes)}{', here' if row.present else ''}",
        byte_size(row.disk_free_bytes),
        byte_size(row.memory_bytes),
        UNKNOWN if row.reserve_bytes is None else signed_size(row.reserve_bytes),
        byte_size(row.peak_bytes) + ("" if row.peak_hive_id in {None, row.hive_id} else f" on {row.peak_hive_id}"),
        UNKNOWN if row.error_pct is None else f"{row.error_pct:+.1f} %",
        byte_size(row.free_bytes),
        UNKNOWN if row.fits is None else "yes" if row.fits else "no",
        "\n".join(map(line, row.reasons)) or UNKNOWN,
    )


def signed_size(count: int) -> str:
    """A difference of sizes: ``+3.0 MiB``."""
    return f"{'-' if count < 0 else '+'}{byte_size(abs(count))}"


def _measure(row: PlanRow) -> str:
    tokens = "an unknown context length" if row.context_length is None else f"{row.context_length} tokens"
    slots = "" if row.slots is None else f" in each of {row.slots} slots" if row.slots > 1 else " in one slot"
    return f"MEMORY is an estimate for {tokens}{slots}."
