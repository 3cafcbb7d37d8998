"""Engines as `rbee worker list` and `rbee worker available` tell of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import click
import msgspec

from rbee.cli.asked import ask_hives
from rbee.cli.console import say
from rbee.cli.exits import OK
from rbee.cli.format import UNKNOWN, line, text
from rbee.cli.outcomes import failures, raise_failures
from rbee.cli.tables import print_table
from rbee.contract.worker_vendor import WorkerOffer


class EngineListing(msgspec.Struct, frozen=True, kw_only=True):
    """What a hive answers: its engines, and why a vendor could not tell, by its name."""

    workers: tuple[WorkerOffer, ...]
    failed: dict[str, str] = {}


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """How engines are listed.

    Attributes:
        headings: of the columns.
        row: the cells of an engine.
        sentences: heading of the column that may run over several lines.
        none: said when there is nothing to list.
    """

    headings: tuple[str, ...]
    row: Callable[[WorkerOffer], tuple[str, ...]]
    sentences: str
    none: str


def print_engines(
    operation: str,
    wanted: Callable[[WorkerOffer], bool],
    columns: Columns,
    hive_id: str | None,
    *,
    all_hives: bool,
    as_json: bool,
) -> int:
    """List engines of the hives that are meant: all of them where none was named.

    Args:
        operation: which lists them.
        wanted: which of them are meant.
        columns: how they are listed.
        hive_id: the hive that was named.
        all_hives: every one is meant.
        as_json: print JSON instead.

    Raises:
        RbeeError: there is no colony, or a hive failed.
    """
    everywhere = all_hives or hive_id is None
    asked = ask_hives(operation, {}, EngineListing, hive_id, all_hives=everywhere, quiet=True)
    told = [(one.hive_id, one.result) for one in asked if one.result is not None]
    engines = [(name, engine) for name, result in told for engine in result.workers if wanted(engine)]
    failed = [(name, vendor, why) for name, result in told for vendor, why in result.failed.items()]
    if as_json:
        workers = [{"hive_id": name, **msgspec.to_builtins(engine)} for name, engine in engines]
        vendors = [{"hive_id": name, "vendor": vendor, "message": why} for name, vendor, why in failed]
        click.echo(msgspec.json.encode({"workers": workers, "failed": [*failures(asked), *vendors]}).decode())
    elif engines:
        hive = ["HIVE"] if len(asked) > 1 else []
        rows = [(*columns.row(engine), *([name] if hive else [])) for name, engine in engines]
        print_table((*columns.headings, *hive), rows, whole={"ENGINE"}, sentences=columns.sentences)
    elif told:
        say(columns.none)
    if not as_json:
        for name, vendor, why in failed:
            say(line(f"On hive {name} the vendor {vendor} does not tell what it has: {why}"))
    raise_failures(asked)
    return OK


def change_engine(
    operation: str,
    fields: Mapping[str, str | None],
    told: Callable[[WorkerOffer], str],
    hive_id: str | None,
    *,
    all_hives: bool,
    as_json: bool,
) -> int:
    """Install or remove an engine on the hives that are meant.

    Args:
        operation: which does it.
        fields: its body, with the engine's name in ``worker``.
        told: a sentence for what has been done.
        hive_id: the hive that was named.
        all_hives: every one is meant.
        as_json: print JSON instead.

    Raises:
        RbeeError: there is no colony, or a hive failed.
    """
    asked = ask_hives(operation, fields, WorkerOffer, hive_id, all_hives=all_hives)
    if as_json:
        click.echo(msgspec.json.encode([one.told(worker=fields["worker"]) for one in asked]).decode())
    else:
        for one in asked:
            if one.result is not None:
                say(line(f"{f'{one.hive_id}: ' * (len(asked) > 1)}{told(one.result)}"))
    raise_failures(asked)
    return OK


def words(names: Sequence[str]) -> str:
    """Several names in a cell."""
    return ", ".join(names) or UNKNOWN


def source(engine: WorkerOffer) -> str:
    """Where an engine comes from."""
    return f"{engine.vendor}: {engine.origin}" if engine.origin else engine.vendor


def usable(engine: WorkerOffer) -> str:
    """Whether workers can be started with it, or why not; then what to know before choosing it."""
    told = f"no: {engine.reason}" if engine.available is False and engine.reason else text(None)
    return "\n".join(["yes" if engine.available else told, *([engine.note] if engine.note else [])])
