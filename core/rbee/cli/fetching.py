"""What `rbee pull` and `rbee model cp` share: a colony, a display, an interruption that says what is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rbee.cli.colony import used
from rbee.cli.console import say
from rbee.cli.context import Context
from rbee.cli.loop import run_async
from rbee.cli.outcomes import Outcome
from rbee.cli.pulling import pull
from rbee.cli.transfers import Transfers, transferring
from rbee.clients import Transport
from rbee.clients.who import QUEEN
from rbee.contract.wire import ModelDownloaded

_STARTING = "Starting a colony for this download"

Pulled = list[tuple[str, Outcome[ModelDownloaded]]]
"""Each job with the model as it was asked for."""


def fetch(
    context: Context, models: Sequence[str], choose: Callable[[str], Sequence[str]], from_hive: str | None = None
) -> Pulled | None:
    """Bring models to hives; None when it was interrupted, which is said.

    Args:
        context: of the command.
        models: as typed, paths absolute.
        choose: the hives, given the queen's address.
        from_hive: take the files from that hive alone.

    Raises:
        RbeeError: there is no colony, or the hives that are meant cannot be told.
    """
    with transferring() as display:
        try:
            with used(context, keep=False, on_start=lambda: display.note(_STARTING)) as queen_url:
                return run_async(_each(context, queen_url, models, choose(queen_url), display, from_hive))
        except KeyboardInterrupt:
            display.close()
            kept = f" {display.kept} are kept; the same command goes on from there." if display.kept else ""
            say(f"rbee: Interrupted.{kept}")
            return None


async def _each(
    context: Context,
    queen_url: str,
    models: Sequence[str],
    hives: Sequence[str],
    display: Transfers,
    from_hive: str | None,
) -> Pulled:
    """One model after the other, so that the first is whole as soon as can be."""
    transport = Transport(queen_url, context.credentials(), QUEEN)
    try:
        return [(model, one) for model in models for one in await pull(transport, model, hives, display, from_hive)]
    finally:
        await transport.close()
