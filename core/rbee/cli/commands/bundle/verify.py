"""``rbee bundle verify``."""

from __future__ import annotations

import time
from pathlib import Path

import click
import msgspec

from rbee.cli.console import talking
from rbee.cli.context import current
from rbee.cli.format import byte_size, line
from rbee.cli.words import FILE
from rbee.contract.wire import JobEvent
from rbee.remote.bundle import MANIFEST, Manifest, read_manifest, verified


@click.command("verify")
@click.argument("path", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, path: Path, as_json: bool) -> None:
    """Check every file of the bundle at PATH against its checksum."""
    current()
    total = path.stat().st_size if path.is_file() else read_manifest(path).size
    done = 0
    with talking() as talk:
        talk.note(line(f"Checking {path}"))

        def read(count: int) -> None:
            nonlocal done
            done += count
            talk.event(progress("checking", done, total))

        found = verified(path, read)
    tell(path, found, as_json=as_json)


def tell(path: Path, found: Manifest, *, as_json: bool) -> None:
    """Print what is in a bundle."""
    if as_json:
        click.echo(msgspec.json.encode({"path": str(path.absolute()), "bytes": found.size, **facts(found)}).decode())
        return
    models = sorted({str(one.model) for one in found.of("model")})
    where = f"for {found.platform}" + ("" if found.python is None else f" with Python {found.python}")
    lines = [
        f"{path}: rbee {found.version} {where}, environment {found.environment}",
        f"  {len(found.of('wheel'))} wheels, {byte_size(found.size)} in all; every file is as '{MANIFEST}' says",
    ]
    lines += [f"  models: {', '.join(models)}"] if models else []
    for one in lines:
        click.echo(line(one))


def facts(found: Manifest) -> dict[str, object]:
    """For JSON: a manifest."""
    told: dict[str, object] = msgspec.to_builtins(found)
    return told


def progress(action: str, done: int, total: int, unit: str = "bytes") -> JobEvent:
    """How far something is that this process does itself."""
    return JobEvent(
        type="progress",
        job_id="",
        emitted_at_ms=int(time.time() * 1000),
        action=action,
        done=done,
        total=total,
        unit=unit,
    )
