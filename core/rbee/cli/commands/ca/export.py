"""``rbee ca export``."""

from __future__ import annotations

from pathlib import Path

import click

from rbee.cli.console import say
from rbee.cli.context import current
from rbee.cli.queen import ask_queen
from rbee.contract.errors import ConfigurationError


@click.command("export")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
def command(*, file: Path | None) -> None:
    """Print the certificates that browsers and SDKs are to trust, in PEM, or write them to FILE."""
    found = ask_queen(current(), lambda queen: queen.certificates.info())
    if file is None:
        click.echo(found.roots, nl=False)
        return
    try:
        file.write_text(found.roots, encoding="ascii")
    except OSError as error:
        raise ConfigurationError(f"File '{file}' cannot be written: {error.strerror}.") from error
    say(f"Written to {file}. For example: curl --cacert {file} ..., SSL_CERT_FILE={file} for Python's SDKs.")
