"""Asking the running colony's queen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from rbee.cli.context import Context
from rbee.cli.locate import queen_url
from rbee.cli.loop import run_async
from rbee.clients import QueenClient, Transport
from rbee.clients.who import QUEEN

T = TypeVar("T")


def ask_queen(context: Context, question: Callable[[QueenClient], Awaitable[T]]) -> T:
    """Run one question to its answer.

    Args:
        context: of the command.
        question: asks.

    Raises:
        NotRunningError: there is no queen to be found.
        RbeeError: what the queen raised, or that she does not answer.
    """
    url = queen_url(context)

    async def ask() -> T:
        transport = Transport(url, context.credentials(), QUEEN)
        try:
            return await question(QueenClient(transport))
        finally:
            await transport.close()

    return run_async(ask())
