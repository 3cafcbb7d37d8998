"""Which hives a command is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from rbee.cli.console import say
from rbee.cli.context import Context
from rbee.cli.format import line
from rbee.cli.loop import run_async
from rbee.cli.words import NOT_EMPTY
from rbee.clients import QueenClient, Transport
from rbee.clients.who import QUEEN
from rbee.contract.errors import InvalidRequestError, NotFoundError, UnavailableError

F = TypeVar("F", bound=Callable[..., Any])

_NAMED = 20
_LOCALHOST = "localhost"


def hive_options(function: F) -> F:
    """Decorate a command with ``--hive`` and ``--all-hives``, given as `hive_id` and `all_hives`."""
    return _options(function, "Which hive; the only one when left out.", "Every hive that is online.")


def hive_filter(function: F) -> F:
    """The same for a command that is about every hive when none is named."""
    return _options(function, "Only this hive; all when left out.", "Every hive, as without --hive.")


def _options(function: F, one: str, every: str) -> F:
    function = click.option("--all-hives", is_flag=True, help=every)(function)
    return click.option("--hive", "hive_id", type=NOT_EMPTY, metavar="ID", help=one)(function)


def check_hive_options(hive_id: str | None, *, all_hives: bool) -> None:
    """Refuse what contradicts itself, before anything is started.

    Raises:
        click.UsageError: both are given.
    """
    if hive_id is not None and all_hives:
        raise click.UsageError("--hive and --all-hives exclude each other.")


def target_hives(context: Context, queen_url: str, hive_id: str | None, all_hives: bool) -> list[str]:
    """Ids of the hives that are meant, by id; what is offline of them is said.

    Args:
        context: of the command.
        queen_url: who knows them.
        hive_id: the one that was named.
        all_hives: every one is meant.

    Raises:
        InvalidRequestError: there are several, and none was named.
        NotFoundError: the one that was named is not online.
        UnavailableError: none is online.
        RbeeError: as the queen raises.
    """
    known = run_async(_ask(context, queen_url))
    online = sorted(name for name, is_online in known.items() if is_online)
    offline = sorted(name for name, is_online in known.items() if not is_online)
    if hive_id is not None:
        return [_named(hive_id, online, offline)]
    if not online:
        away = f" Offline: {_names(offline)}." if offline else ""
        raise UnavailableError(f"No hive is online.{away} Start one: rbee hive start, or all of it: rbee up")
    if all_hives:
        if offline:
            say(f"Offline and left out: {line(_names(offline))}.")
        return online
    if len(online) > 1:
        raise InvalidRequestError(
            f"Several hives are online: {_names(online)}. Name one with --hive, or take all with --all-hives."
        )
    return online


def _named(hive_id: str, online: list[str], offline: list[str]) -> str:
    if hive_id in online:
        return hive_id
    if hive_id == _LOCALHOST and len(online) == 1:
        # The documents call the hive beside the queen localhost.
        return online[0]
    if hive_id in offline:
        raise NotFoundError(f"Hive {hive_id!r} is offline. Online: {_names(online)}.")
    raise NotFoundError(f"There is no hive {hive_id[:128]!r}. Online: {_names(online)}.")


def _names(hives: list[str]) -> str:
    more = f" and {len(hives) - _NAMED} more" if len(hives) > _NAMED else ""
    return (", ".join(hives[:_NAMED]) or "none") + more


async def _ask(context: Context, queen_url: str) -> dict[str, bool]:
    """Every hive that the queen knows, and whether it is online."""
    transport = Transport(queen_url, context.credentials(), QUEEN)
    try:
        info = await QueenClient(transport).info()
    finally:
        await transport.close()
    return {str(one["hive_id"]): bool(one.get("online")) for one in info["hives"]}
