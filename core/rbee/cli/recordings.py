"""Recorded decisions in a file, and the policies that may decide them anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from rbee.cli.checked_policy import CheckedPolicy
from rbee.cli.context import Context
from rbee.contract.errors import InvalidRequestError, NotFoundError
from rbee.contract.policy import Policy
from rbee.plugins import load_plugins
from rbee.scheduler import Recorded


def read_recording(path: Path) -> Iterator[Recorded]:
    """The decisions in a file, a JSON object a line.

    Raises:
        NotFoundError: there is no such file.
        InvalidRequestError: it cannot be read, a line is no decision, or there is none; names it.
    """
    decoder = msgspec.json.Decoder(Recorded)
    empty = True
    try:
        with path.open("rb") as lines:
            for number, one in enumerate(lines, 1):
                if not one.isspace():
                    empty = False
                    yield _decoded(decoder, one, f"{path}, line {number}")
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {str(path)!r}; `rbee explain --save FILE` writes one.") from error
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be read: {error.strerror}.") from error
    if empty:
        raise InvalidRequestError(f"{path} holds no decisions; `rbee explain --save FILE` writes them.")


def policy_called(context: Context, name: str) -> Policy:
    """A policy by its name; what one that is not ours does wrong is told.

    Raises:
        RbeeError: no plugin that loads has one of that name; says which there are.
    """
    policy = load_plugins(context.plugins_wanted).registrations.policies.get(name)()
    return policy if type(policy).__module__.startswith("rbee.builtin.") else CheckedPolicy(policy)


def _decoded(decoder: msgspec.json.Decoder[Recorded], raw: bytes, where: str) -> Recorded:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestError(
            f"{where} is no recorded decision: {error}. `rbee explain --save FILE` writes them."
        ) from error
