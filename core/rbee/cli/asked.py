"""Commands that ask a colony for something once: a running one, or one for the occasion."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from rbee.cli.colony import used
from rbee.cli.console import Silent, Talk, can_redraw, talking
from rbee.cli.context import current
from rbee.cli.hives import check_hive_options, target_hives
from rbee.cli.locate import queen_url
from rbee.cli.loop import run_async
from rbee.cli.outcomes import Outcome, job, on_each
from rbee.cli.transfers import transferring
from rbee.clients import Transport
from rbee.clients.who import QUEEN

T = TypeVar("T")

_STARTING = "Starting a colony for this command"


def ask_hives(
    operation: str,
    fields: Mapping[str, Any],
    kind: type[T],
    hive_id: str | None,
    *,
    all_hives: bool,
    quiet: bool = False,
) -> list[Outcome[T]]:
    """Run an operation on the hives that are meant.

    Args:
        operation: its name.
        fields: its body; None values are left out.
        kind: of its result.
        hive_id: the hive that was named.
        all_hives: every one is meant.
        quiet: the result tells all that there is to tell.

    Raises:
        RbeeError: there is no colony, or the hives that are meant cannot be told.
    """
    check_hive_options(hive_id, all_hives=all_hives)
    context = current()
    with (
        transferring() as display,
        used(context, keep=False, on_start=lambda: display.note(_STARTING)) as url,
    ):
        hives = target_hives(context, url, hive_id, all_hives)

        def talk_of(name: str) -> Talk:
            if quiet:
                return Silent()
            several = len(hives) > 1
            about = str(fields.get("worker") or fields.get("model") or name)
            return display.row(f"{name} {about}" if several and about != name else about, name if several else "")

        return _run(url, lambda transport: on_each(transport, hives, operation, fields, kind, talk_of))


def ask_colony(operation: str, fields: Mapping[str, Any], kind: type[T], *, quiet: bool = False) -> T:
    """Run an operation of the queen's own.

    Args:
        operation: its name.
        fields: its body; None values are left out.
        kind: of its result.
        quiet: the result tells all that there is to tell; a terminal has the sentences only in passing.

    Raises:
        RbeeError: there is no colony, or why it failed.
    """
    with talking() as talk, used(current(), keep=False, on_start=lambda: talk.note(_STARTING)) as url:
        heard = Silent() if quiet and not can_redraw() else talk
        return _run(url, lambda transport: job(transport, operation, fields, kind, heard))


def ask_running(operation: str, fields: Mapping[str, Any], kind: type[T]) -> T:
    """Run an operation of the queen's own, in a colony that runs: what it brings about would end with another.

    Args:
        operation: its name.
        fields: its body; None values are left out.
        kind: of its result.

    Raises:
        NotRunningError: there is no colony.
        RbeeError: why it failed.
    """
    url = queen_url(current())
    with talking() as talk:
        return _run(url, lambda transport: job(transport, operation, fields, kind, talk))


def _run(url: str, question: Callable[[Transport], Awaitable[T]]) -> T:
    credentials = current().credentials()

    async def ask() -> T:
        transport = Transport(url, credentials, QUEEN)
        try:
            return await question(transport)
        finally:
            await transport.close()

    return run_async(ask())
