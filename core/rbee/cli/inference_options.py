"""What `rbee run` and `rbee infer` share: options, the request made of them, the answer as it is printed."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from rbee.cli.asking import absolute
from rbee.cli.words import NOT_EMPTY
from rbee.contract.errors import InvalidRequestError

F = TypeVar("F", bound=Callable[..., Any])


class _Number(click.FloatRange):
    """A number within bounds; "nan" is none, and would pass every comparison."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return float(found)


_OPTIONS = (
    click.option("--system", help="System prompt."),
    click.option("--max-tokens", type=click.IntRange(1, 1_000_000), metavar="N", help="Longest answer, in tokens."),
    click.option("--temperature", type=_Number(0, 5), metavar="T", help="0 gives the same answer every time."),
    click.option("--top-p", type=_Number(0, 1, min_open=True), metavar="P", help="Nucleus sampling."),
    click.option(
        "--top-k", type=click.IntRange(0, 100_000), metavar="K", help="Only the k likeliest tokens; 0 is off."
    ),
    click.option("--seed", type=click.IntRange(-(2**63), 2**63 - 1), metavar="N", help="Seed of the sampler."),
    click.option("--stop", type=NOT_EMPTY, multiple=True, help="Stop before this text; may be repeated."),
    click.option("--raw", is_flag=True, help="Continue the prompt as it is, without a chat template."),
    click.option("--hive", "hive_id", type=NOT_EMPTY, help="Only on this hive."),
    click.option("--device", type=NOT_EMPTY, help="Only on this device, as GPU-0."),
    click.option("--json", "as_json", is_flag=True, help="Print the whole answer as one JSON object."),
)


def inference_options(function: F) -> F:
    """Decorate a command with them; all but ``system``, ``raw`` and ``as_json`` are fields of a request."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def request_of(
    model: str, prompt: str | None, *, system: str | None, raw: bool, sampling: Mapping[str, Any]
) -> dict[str, Any]:
    """The body of the operation ``infer``.

    Args:
        model: as typed.
        prompt: as typed; None reads standard input.
        system: system prompt; None for none.
        raw: without a chat template.
        sampling: the other options; None values are left out.

    Raises:
        InvalidRequestError: model or prompt is empty, or not to be had.
        click.UsageError: options that exclude each other.
    """
    if not model.strip():
        raise InvalidRequestError("The model's name is empty; `rbee run demo 'Hello'` needs no other.")
    if raw and system is not None:
        raise click.UsageError("--system needs a chat template, and --raw goes without one.")
    text = prompt if prompt is not None else _from_stdin()
    if not text.strip():
        raise InvalidRequestError("The prompt is empty. Give one, as in: rbee run demo 'What is Python?'")
    request: dict[str, Any] = {"model": absolute(model), **{k: v for k, v in sampling.items() if v is not None}}
    request["stop"] = list(sampling["stop"]) or None
    if system is None:
        return request | {"prompt": text, "raw": raw or None}
    return request | {"messages": [{"role": "system", "content": system}, {"role": "user", "content": text}]}


class AnswerPrinter:
    """Writes an answer to stdout as it comes.

    Args:
        quiet: write nothing; somebody prints the whole later.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._line_ended = True

    def write(self, piece: str) -> None:
        """A piece of text."""
        if self._quiet or not piece:
            return
        sys.stdout.write(piece)
        sys.stdout.flush()
        self._line_ended = piece.endswith("\n")

    def finish(self) -> None:
        """End the line, if one was begun."""
        if not self._line_ended:
            sys.stdout.write("\n")
            sys.stdout.flush()
            self._line_ended = True


def _from_stdin() -> str:
    if sys.stdin.isatty():
        raise InvalidRequestError("Give a prompt, or pipe one in. To talk with a model: rbee chat MODEL")
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            "The prompt on standard input is not UTF-8 text. Convert it: iconv -f latin1 -t utf-8 FILE | rbee run ..."
        ) from error
