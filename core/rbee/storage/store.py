"""What every store does: open, close, and one piece of work after the other."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from rbee.storage.database import DataBase
from rbee.storage.schema import Schema

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound="Store")


class Store:
    """Tables in a data base, with methods that are each done to the end: see `in_turn`.

    Args:
        url: as `DataBase` takes it.
        schema: the store's tables.
    """

    def __init__(self, url: str, schema: Schema) -> None:
        self.data_base = DataBase(url, schema)

    async def open(self) -> None:
        """Connect, and make or migrate the tables.

        Raises:
            UnavailableError: its server does not answer now; harmless to try again.
            ConfigurationError: the data base cannot be opened; the message names it.
        """
        await self.data_base.open()

    async def close(self) -> None:
        """Disconnect, after what is being done; harmless when not open."""
        await self.data_base.close()


def in_turn(method: Callable[Concatenate[S, P], Awaitable[T]]) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """A method of a store that runs to its end also when its caller is cancelled: see `DataBase.run`."""

    @functools.wraps(method)
    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.data_base.run(lambda: method(self, *args, **kwargs))

    return run
