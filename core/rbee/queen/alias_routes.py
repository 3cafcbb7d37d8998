"""The queen's routes for short names of models."""

from __future__ import annotations

from litestar import Response, delete, get, put
from litestar.openapi import ResponseSpec

from rbee.contract.wire import Alias, AliasList, AliasTarget
from rbee.queen.service import QueenService


@get("/v1/aliases")
async def list_aliases(service: QueenService) -> AliasList:
    """All, by name."""
    return AliasList(aliases=tuple(service.aliases.list()))


@put("/v1/aliases/{name:path}", responses={201: ResponseSpec(Alias, generate_examples=False, description="It is new.")})
async def put_alias(service: QueenService, name: str, data: AliasTarget) -> Response[Alias]:
    """Set one: 201 new, 200 changed."""
    alias, new = await service.aliases.put(_plain(name), data.model)
    return Response(alias, status_code=201 if new else 200)


@delete("/v1/aliases/{name:path}", status_code=204)
async def remove_alias(service: QueenService, name: str) -> None:
    """Forget one; its model stays."""
    await service.aliases.remove(_plain(name))


ALIAS_ROUTES = (list_aliases, put_alias, remove_alias)


def _plain(name: str) -> str:
    """The name in a path; one with a slash in it is told that it is none, instead of being no route."""
    return name.removeprefix("/")
