"""The queen's routes for short names of models."""

from __future__ import annotations

from rbee.clients.transport import Transport, segment
from rbee.contract.errors import NotFoundError
from rbee.contract.wire import Alias, AliasList, AliasTarget


class AliasesClient:
    """What an operator asks of the queen."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self) -> list[Alias]:
        """All, by name."""
        return list((await self._transport.call("GET", "/v1/aliases", AliasList)).aliases)

    async def get(self, name: str) -> Alias:
        """One of them.

        Raises:
            NotFoundError: there is none of that name.
        """
        for alias in await self.list():
            if alias.name == name:
                return alias
        raise NotFoundError(f"There is no alias {name[:64]!r}; `rbee model alias` lists them.")

    async def put(self, name: str, model: str) -> Alias:
        """Set what a short name stands for.

        Raises:
            InvalidRequestError: the name or the model's is none.
            ConflictError: a vendor knows a model of that name, or an alias would stand for another alias.
        """
        return await self._transport.call("PUT", f"/v1/aliases/{segment(name)}", Alias, body=AliasTarget(model=model))

    async def remove(self, name: str) -> None:
        """Forget a short name; its model stays.

        Raises:
            NotFoundError: there is none of that name.
        """
        await self._transport.call("DELETE", f"/v1/aliases/{segment(name)}", type(None))
