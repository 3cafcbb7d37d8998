"""``rbee chat``."""

from __future__ import annotations

import sys
from typing import Any

import click

from rbee.cli.asking import absolute, ask
from rbee.cli.colony import used
from rbee.cli.console import say, talking
from rbee.cli.context import Context, current
from rbee.cli.loop import run_async
from rbee.contract.errors import CancelledByCallerError, RbeeError, UnreachableError


@click.command("chat")
@click.argument("model")
@click.option("--keep", is_flag=True, help="Leave the colony running afterwards.")
@click.option("--system", help="System prompt.")
@click.option("--max-tokens", type=click.IntRange(1, 1_000_000), metavar="N", help="Longest answer, in tokens.")
@click.option("--temperature", type=click.FloatRange(0, 5), metavar="T", help="0 gives the same answer every time.")
@click.option("--seed", type=click.IntRange(-(2**63), 2**63 - 1), metavar="N", help="Seed of the sampler.")
def command(*, model: str, keep: bool, system: str | None, **sampling: Any) -> None:
    """Talk with MODEL; it remembers what was said.

    Ctrl+C stops an answer, Ctrl+D ends.  A running colony is used; otherwise one is started for the occasion.
    """
    context = current()
    with talking() as talk:
        talk.note("Looking for a colony")
        with used(context, keep=keep, on_start=lambda: talk.note("Starting a colony for this chat")) as queen_url:
            talk.done()
            say("Ctrl+C stops an answer, Ctrl+D ends.")
            _converse(context, queen_url, absolute(model), system, sampling)


def _converse(context: Context, queen_url: str, model: str, system: str | None, sampling: dict[str, Any]) -> None:
    history: list[dict[str, str]] = [{"role": "system", "content": system}] if system else []
    while True:
        try:
            text = _read()
        except EOFError:
            print(file=sys.stderr)
            return
        except KeyboardInterrupt:
            say("\nCtrl+D ends.")
            continue
        if not text.strip():
            continue
        asked = [*history, {"role": "user", "content": text}]
        answer = _turn(context, queen_url, {"model": model, "messages": asked, **sampling})
        if answer is not None:
            history = [*asked, {"role": "assistant", "content": answer}]


def _turn(context: Context, queen_url: str, request: dict[str, Any]) -> str | None:
    """One answer; what was said before a Ctrl+C, and None when nothing was."""
    said: list[str] = []

    def write(piece: str) -> None:
        said.append(piece)
        sys.stdout.write(piece)
        sys.stdout.flush()

    try:
        with talking() as talk:
            run_async(ask(queen_url, context.credentials(), request, talk, write))
    except (KeyboardInterrupt, CancelledByCallerError):
        print(flush=True)
        say("Stopped.")
        return "".join(said) or None
    except UnreachableError:
        raise
    except RbeeError as error:
        # One answer failed; the conversation goes on.
        if said:
            print(flush=True)
        say(f"rbee: {error.message}")
        return None
    print(flush=True)
    return "".join(said)


def _read() -> str:
    if sys.stdin.isatty():
        import readline  # noqa: F401  # gives input() its line editing and history

        return input("> ")
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")
