"""``rbee doctor``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import click
import msgspec

from rbee.cli.checks.colony import Section, colony
from rbee.cli.checks.databases import databases
from rbee.cli.checks.machine import machine
from rbee.cli.context import Context, current
from rbee.cli.exits import FAILED, OK
from rbee.cli.logprint import safe
from rbee.cli.loop import run_async
from rbee.contract.checks import Check
from rbee.contract.errors import RbeeError

_HERE = ("This machine", "Plugins and hardware")
_SIGNS = (("ok", "✓", "+"), ("warn", "!", "!"), ("fail", "✗", "x"))


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> int:
    """Check this machine and the colony, and say what to do.  Exit code 1 when something does not work.

    Works with nothing running.  A running queen is asked as well, and through her every hive.
    """
    context = current()
    sections: list[Section] = []
    for section in _sections(context):
        fresh = _without_known(section, sections)
        if fresh.checks:
            sections.append(fresh)
            if not as_json:
                _print(fresh, signs=_signs())
    checks = [check for section in sections for check in section.checks]
    failed = sum(check.status == "fail" for check in checks)
    if as_json:
        told = [
            {"where": section.where, **msgspec.to_builtins(check)} for section in sections for check in section.checks
        ]
        click.echo(msgspec.json.encode({"ok": not failed, "checks": told}).decode())
        return FAILED if failed else OK
    warned = sum(check.status == "warn" for check in checks)
    click.echo(f"{len(checks)} checks: {failed} failed, {warned} with a warning.")
    return FAILED if failed else OK


def _sections(context: Context) -> Iterator[Section]:
    here = (*machine(context), *databases(context))
    yield Section(where=_HERE[0], checks=here)
    if any(check.status == "fail" and check.name == "folders" for check in here):
        return
    yield Section(where=_HERE[1], checks=tuple(_hardware(context)))
    if any(check.status == "fail" and check.name in {"settings", "token"} for check in here):
        return
    from rbee.cli.checks.programs import leftovers, programs

    yield Section(where="Programs", checks=(*run_async(programs(context)), *leftovers(context)))
    yield from colony(context, context.present_credentials())


def _hardware(context: Context) -> Iterator[Check]:
    from rbee.cli.checks.hardware import plugins_and_engines, probes
    from rbee.plugins import load_plugins

    try:
        plugins = load_plugins(context.plugins_wanted)
    except RbeeError as error:
        yield Check(name="plugins", status="fail", detail=error.message, remedy="Correct or unset RBEE_PLUGINS.")
        return
    yield from plugins_and_engines(plugins)
    yield from run_async(probes(list(plugins.registrations.probes.things())))


def _without_known(section: Section, before: Sequence[Section]) -> Section:
    """The section without what this machine's own parts have said in the same words, as by its hive.

    What is amiss is said for each machine, whatever another one has said.
    """
    said = {(check.name, check.detail) for one in before if one.where in _HERE for check in one.checks}
    fresh = tuple(check for check in section.checks if check.status != "ok" or (check.name, check.detail) not in said)
    return msgspec.structs.replace(section, checks=fresh)


def _print(section: Section, *, signs: dict[str, str]) -> None:
    click.echo(section.where)
    for check in section.checks:
        click.echo(f"  {signs[check.status]} {_line(check.name)}: {_line(check.detail)}")
        if check.remedy is not None and check.status != "ok":
            click.echo(f"      {_line(check.remedy)}")


def _line(text: str) -> str:
    return safe(" ".join(text.split()))


def _signs() -> dict[str, str]:
    """Marks that the output's encoding has."""
    try:
        "".join(fine for _, fine, _ in _SIGNS).encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return {status: plain for status, _, plain in _SIGNS}
    return {status: fine for status, fine, _ in _SIGNS}
