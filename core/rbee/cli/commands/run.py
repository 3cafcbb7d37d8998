"""``rbee run``."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from rbee.cli.asking import Answer, ask
from rbee.cli.colony import used
from rbee.cli.console import talking
from rbee.cli.context import Context, current
from rbee.cli.inference_options import AnswerPrinter, inference_options, request_of
from rbee.cli.loop import run_async


@click.command("run")
@click.argument("model")
@click.argument("prompt", required=False)
@click.option("--keep", is_flag=True, help="Leave the colony running afterwards.")
@inference_options
def command(
    *, model: str, prompt: str | None, keep: bool, system: str | None, raw: bool, as_json: bool, **sampling: Any
) -> None:
    """Ask MODEL once and print its answer as it is generated.

    Without PROMPT it is read from standard input.  A running colony is used; otherwise one is started for the
    occasion and stopped again.

    \b
    rbee run demo "What is Python?"
    git diff | rbee run ./model.gguf --system "Summarise this change."
    """  # noqa: D301  # \b is click's mark for text that must not be rewrapped
    request = request_of(model, prompt, system=system, raw=raw, sampling=sampling)
    context = current()
    answer = _answer(context, request, keep=keep, quiet=as_json)
    if as_json:
        click.echo(msgspec.json.encode(answer).decode())


def _answer(context: Context, request: dict[str, Any], *, keep: bool, quiet: bool) -> Answer:
    printer = AnswerPrinter(quiet=quiet)
    with talking() as talk:
        talk.note("Looking for a colony")
        with used(context, keep=keep, on_start=lambda: talk.note("Starting a colony for this run")) as queen_url:
            try:
                return run_async(ask(queen_url, context.credentials(), request, talk, printer.write))
            finally:
                talk.done()
                printer.finish()
