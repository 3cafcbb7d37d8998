"""``rbee conformance worker``."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from urllib.parse import urlsplit

import click

from rbee.cli.console import say
from rbee.cli.context import current
from rbee.cli.exits import FAILED, OK
from rbee.cli.format import line
from rbee.cli.loop import run_async
from rbee.cli.tables import print_table
from rbee.contract.errors import ConfigurationError

if TYPE_CHECKING:
    from rbee.conformance import Check, Report, Subject


@click.command("worker")
@click.argument("url")
@click.option(
    "--token-file",
    type=click.File(encoding="utf-8"),
    metavar="FILE",
    help="The worker's token; - reads standard input. On loopback this home's is used otherwise.",
)
@click.option("--model", metavar="MODEL", help="Name sent in requests, instead of what GET /v1/models says.")
@click.option("--only", multiple=True, metavar="ID", help="Only this check, as W-INFER-2; may be repeated.")
@click.option("--shutdown", is_flag=True, help="End the worker, to see how it ends.")
@click.option("--timeout", type=click.FloatRange(1, 3600), default=60.0, metavar="S", help="Seconds a check may take.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Also write JUnit XML.")
def command(
    *,
    url: str,
    token_file: TextIO | None,
    model: str | None,
    only: tuple[str, ...],
    shutdown: bool,
    timeout: float,
    as_json: bool,
    junit: Path | None,
) -> int:
    """Ask a running worker at URL whether it keeps the contract.  Exit code 1 when a promise is broken.

    Works with a worker in any language.  Nobody else should ask it meanwhile.  Capabilities decide what is asked.
    """
    from rbee.conformance import CHECKS, as_json_bytes, as_junit

    checks = _chosen(CHECKS, only)
    report = run_async(_ask(_address(url), _token(url, token_file), checks, model, timeout, may_end=shutdown))
    if junit is not None:
        try:
            junit.write_bytes(as_junit(report))
        except OSError as error:
            raise ConfigurationError(f"{str(junit)!r} cannot be written: {error.strerror}.") from error
    if as_json:
        click.echo(as_json_bytes(report).decode())
    else:
        _print(report)
    return FAILED if report.count("broken") else OK


async def _ask(
    url: str, token: str | None, checks: Sequence[Check], model: str | None, timeout_s: float, *, may_end: bool
) -> Report:
    from rbee.conformance import Http, Limits, Subject, run

    http = Http(url, token, timeout_s)
    subject: Subject = Subject(http, Limits(check_s=timeout_s), model=model, may_end=may_end)
    try:
        return await run(subject, checks, _tell)
    finally:
        await http.close()


def _tell(check: Check, number: int, count: int) -> None:
    say(f"{number}/{count} {check.id}: {check.promise}")


def _chosen(checks: Sequence[Check], only: Sequence[str]) -> Sequence[Check]:
    known = {check.id for check in checks}
    unknown = [name for name in only if name not in known]
    if unknown:
        raise click.BadParameter(
            f"there is no check {unknown[0]!r}; docs/reference/conformance.md lists them.", param_hint="--only"
        )
    return [check for check in checks if not only or check.id in only]


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise click.BadParameter(f"{url!r} is no worker's address; give it as http://HOST:PORT.", param_hint="URL")
    return url


def _token(url: str, file: TextIO | None) -> str | None:
    """The token to send; this home's goes to no other machine unasked."""
    if file is None:
        return current().present_token() if _is_loopback(urlsplit(url).hostname or "") else None
    try:
        token = file.read().strip()
    except UnicodeDecodeError:
        token = ""
    if not token or not token.isascii() or not token.isprintable():
        raise ConfigurationError(f"{file.name!r} holds no token; `rbee config path token` says where the colony's is.")
    return token


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _print(report: Report) -> None:
    rows = [(one.id, one.verdict, line(one.promise), line(one.detail or "")) for one in report.outcomes]
    print_table(("ID", "RESULT", "PROMISE", "SEEN"), rows, whole=("ID", "RESULT"), sentences="SEEN")
    worker = " ".join(part for part in (report.worker_id, report.implementation, report.model_id) if part)
    say(
        f"{line(worker) or report.url}: {report.count('kept')} kept, {report.count('broken')} broken, "
        f"{report.count('skipped')} skipped."
    )
