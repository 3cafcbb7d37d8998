"""Asking before something is done that cannot be taken back."""

from __future__ import annotations

import sys

import click

from rbee.cli.console import say
from rbee.contract.errors import InvalidRequestError

ANY_KEY = "any"
"""``--accept-fingerprint`` without a fingerprint: whichever host key a machine shows at first."""


def agreed(what: str, *, yes: bool) -> bool:
    """Whether a person agrees; who does not is told that nothing was done.

    Args:
        what: a sentence that says what would be done.
        yes: was said with the command.

    Raises:
        InvalidRequestError: there is nobody to be asked.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise InvalidRequestError(f"Nothing was done: {what} There is no terminal to ask on; say --yes.", param="yes")
    say(what)
    found = click.confirm("Go on?", err=True)
    if not found:
        say("Nothing was done.")
    return found
