"""``rbee run``."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import click
import msgspec

from rbee.cli.asking import Answer, absolute, ask
from rbee.cli.colony import used
from rbee.cli.console import talking
from rbee.cli.context import Context, current
from rbee.contract.errors import InvalidRequestError


@click.command("run")
@click.argument("model")
@click.argument("prompt", required=False)
@click.option("--keep", is_flag=True, help="Leave the colony running afterwards.")
@click.option("--system", help="System prompt.")
@click.option("--max-tokens", type=click.IntRange(1, 1_000_000), metavar="N", help="Longest answer, in tokens.")
@click.option("--temperature", type=click.FloatRange(0, 5), metavar="T", help="0 gives the same answer every time.")
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), metavar="P", help="Nucleus sampling.")
@click.option("--top-k", type=click.IntRange(0, 100_000), metavar="K", help="Only the k likeliest tokens; 0 is off.")
@click.option("--seed", type=click.IntRange(-(2**63), 2**63 - 1), metavar="N", help="Seed of the sampler.")
@click.option("--stop", multiple=True, help="Stop before this text; may be repeated.")
@click.option("--raw", is_flag=True, help="Continue the prompt as it is, without a chat template.")
@click.option("--hive", "hive_id", help="Only on this hive.")
@click.option("--device", help="Only on this device, as GPU-0.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer as one JSON object.")
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
    if not model.strip():
        raise InvalidRequestError("The model's name is empty; try: rbee run demo 'Hello'")
    text = prompt if prompt is not None else _from_stdin()
    if not text.strip():
        raise InvalidRequestError("The prompt is empty.")
    if raw and system is not None:
        raise click.UsageError("--system needs a chat template, and --raw goes without one.")
    request: dict[str, Any] = {"model": absolute(model), **{k: v for k, v in sampling.items() if v is not None}}
    request["stop"] = list(sampling["stop"]) or None
    if system is None:
        request |= {"prompt": text, "raw": raw or None}
    else:
        request["messages"] = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    context = current()
    answer = _answer(context, request, keep=keep, quiet=as_json)
    if as_json:
        click.echo(msgspec.json.encode(answer).decode())


def _answer(context: Context, request: dict[str, Any], *, keep: bool, quiet: bool) -> Answer:
    ended_with_newline = True

    def write(piece: str) -> None:
        nonlocal ended_with_newline
        sys.stdout.write(piece)
        sys.stdout.flush()
        ended_with_newline = piece.endswith("\n")

    with talking() as talk:
        talk.note("Looking for a colony")
        with used(context, keep=keep, on_start=lambda: talk.note("Starting a colony for this run")) as queen_url:
            try:
                return asyncio.run(
                    ask(queen_url, context.token(), request, talk, (lambda piece: None) if quiet else write)
                )
            finally:
                talk.done()
                if not ended_with_newline:
                    sys.stdout.write("\n")
                    sys.stdout.flush()


def _from_stdin() -> str:
    if sys.stdin.isatty():
        raise InvalidRequestError("Give a prompt, or pipe one in. To talk with a model: rbee chat MODEL")
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequestError("The prompt on standard input is not UTF-8 text.") from error
