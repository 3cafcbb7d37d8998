"""``rbee infer``."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from rbee.cli.asking import ask
from rbee.cli.console import talking
from rbee.cli.context import current
from rbee.cli.inference_options import AnswerPrinter, inference_options, request_of
from rbee.cli.locate import queen_url
from rbee.cli.loop import run_async
from rbee.cli.words import NOT_EMPTY


@click.command("infer")
@click.argument("model")
@click.argument("prompt", required=False)
@click.option("--worker", "worker_id", type=NOT_EMPTY, metavar="ID", help="Only by this worker.")
@click.option("--queenless", is_flag=True, help="Straight at a worker that the registry names; no queen is asked.")
@inference_options
def command(
    *,
    model: str,
    prompt: str | None,
    queenless: bool,
    system: str | None,
    raw: bool,
    as_json: bool,
    **sampling: Any,
) -> None:
    """Generate text with MODEL in the running colony; none is started.  Exit code 3 when none runs.

    Without PROMPT it is read from standard input.

    \b
    rbee infer demo "What is Python?"
    rbee infer demo "What is Python?" --queenless
    """  # noqa: D301  # \b is click's mark for text that must not be rewrapped
    request = request_of(model, prompt, system=system, raw=raw, sampling=sampling)
    context = current()
    context.check()
    printer = AnswerPrinter(quiet=as_json)
    with talking() as talk:
        try:
            if queenless:
                from rbee.cli.queenless import ask_worker

                answer = run_async(ask_worker(context, request, talk, printer.write))
            else:
                talk.note("Looking for the queen")
                answer = run_async(ask(queen_url(context), context.credentials(), request, talk, printer.write))
        finally:
            talk.done()
            printer.finish()
    if as_json:
        click.echo(msgspec.json.encode(answer).decode())
