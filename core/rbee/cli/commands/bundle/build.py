"""``rbee bundle build``."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import click

from rbee.cli.asked import ask_hives
from rbee.cli.commands.bundle.verify import progress, tell
from rbee.cli.console import say, talking
from rbee.cli.context import current
from rbee.cli.format import byte_size, line
from rbee.cli.outcomes import raise_failures
from rbee.cli.words import MODEL, NOT_EMPTY
from rbee.contract.errors import NotFoundError
from rbee.contract.wire import ModelRecord
from rbee.remote.bundling import wheelhouse, with_files, write
from rbee.remote.sources import PLATFORMS


@click.command("build")
@click.option("--output", "-o", metavar="PATH", help="A .tar, or a folder; rbee-VERSION-PLATFORM.tar when absent.")
@click.option("--model", "models", type=MODEL, multiple=True, help="A model that is on this machine; may be repeated.")
@click.option("--plugin", "plugins", type=NOT_EMPTY, multiple=True, help="Only this plugin; may be repeated.")
@click.option("--platform", type=click.Choice(PLATFORMS), help="For which machines; those like this one when absent.")
@click.option("--python", "python", metavar="3.N", help="For which Python there; this one when absent.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    *,
    output: str | None,
    models: tuple[str, ...],
    plugins: tuple[str, ...],
    platform: str | None,
    python: str | None,
    as_json: bool,
) -> None:
    """Make a bundle: rbee and its plugins as this machine runs them, with all that they need, models and checksums.

    For machines like this one no package index is asked.  For others the wheels are fetched from the index.

    \b
    rbee bundle build -o rbee.tar
    rbee hive install attic --bundle rbee.tar
    """  # noqa: D301  # \b is click's mark for text that must not be rewrapped
    context = current()
    context.check()
    context.folders.make()
    with talking() as talk:
        talk.note("Collecting packages")
        bundle = wheelhouse(
            context.folders.data / "bundling",
            plugins or None,
            platform=platform,
            python=python,
            tell=lambda done, total: talk.event(progress("collecting", done, total, "packages")),
        )
        manifest = bundle.manifest
    if models:
        files, whose = _models(models)
        bundle = with_files(bundle, files, whose)
    target = Path(output or f"rbee-{manifest.version}-{manifest.platform}.tar")
    with talking() as talk:
        talk.note(line(f"Writing {target}"))
        size = write(bundle, target, lambda done, total: talk.event(progress("writing", done, total)))
    if not as_json:
        say(line(f"Made {target}, {byte_size(size)}. Take it there, or: rbee hive install NAME --bundle {target}"))
    tell(target, bundle.manifest, as_json=as_json)


def _models(names: tuple[str, ...]) -> tuple[dict[str, Path], dict[str, str]]:
    """Files of models by their paths in the bundle, and of which model each is.

    Raises:
        NotFoundError: a model, or a file of it, is not on this machine.
    """
    files: dict[str, Path] = {}
    whose: dict[str, str] = {}
    for name in names:
        asked = ask_hives("model_get", {"model": name}, ModelRecord, None, all_hives=False, quiet=True)
        raise_failures(asked)
        for record in (one.result for one in asked if one.result is not None):
            folder = _folder(name, record)
            for file in record.files:
                place = folder / file.name
                if not place.is_file():
                    raise NotFoundError(f"Model {name!r} is not whole on this machine: '{place}' is not there.")
                path = f"models/{re.sub(r'[^A-Za-z0-9._-]+', '-', record.name).strip('-.') or 'model'}/{file.name}"
                files[path], whose[path] = place, record.name
    return files, whose


def _folder(name: str, record: ModelRecord) -> Path:
    """Where the names of a model's files begin."""
    if record.path is None or not record.files or record.state != "available":
        raise NotFoundError(f"Model {name!r} has no files on this machine. Fetch it first: rbee pull {name}")
    path = Path(record.path)
    return path if path.is_dir() else path.parents[len(PurePosixPath(record.files[0].name).parts) - 1]
