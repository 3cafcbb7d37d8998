"""Asking the running colony's queen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rbee.cli.colony import ColonyRecord
from rbee.cli.context import Context
from rbee.clients import QueenClient, Transport

T = TypeVar("T")


def ask_queen(context: Context, record: ColonyRecord, question: Callable[[QueenClient], Awaitable[T]]) -> T:
    """Run one question to its answer.

    Args:
        context: of the command.
        record: the running colony.
        question: asks.

    Raises:
        RbeeError: what the queen raised, or that she does not answer.
    """

    async def ask() -> T:
        transport = Transport(record.queen_url, context.token(), "The queen")
        try:
            return await question(QueenClient(transport))
        finally:
            await transport.close()

    return asyncio.run(ask())
