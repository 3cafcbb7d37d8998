"""The queen's routes for the beehives that an operator enters."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, delete, get, post

from rbee.beehives import Beehive, BeehiveChanges
from rbee.contract.errors import InvalidRequestError
from rbee.queen.service import QueenService


class AddBeehive(BeehiveChanges, frozen=True, kw_only=True, omit_defaults=True):
    """Body of ``POST /v2/registry/beehives/add``: what is said of the machine, and whether one may be there."""

    update: bool = False


class ImportBeehives(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``POST /v2/registry/beehives/import``."""

    nodes: list[BeehiveChanges]
    update: bool = False


class BeehiveName(msgspec.Struct, frozen=True):
    """Body of ``POST /v2/registry/beehives/remove``."""

    node_name: str


@post("/v2/registry/beehives/add", status_code=200)
async def add_beehive(service: QueenService, data: AddBeehive) -> dict[str, Any]:
    """Enter a machine, or change one."""
    said = BeehiveChanges(node_name=data.node_name, **{k: v for k, v in data.said().items() if k != "update"})
    entered = await service.beehives.enter([said], update=data.update)
    done = "added" if entered.added else "updated"
    return {
        "success": True,
        "message": f"Beehive {data.node_name!r} was {done}.",
        "node_name": data.node_name,
        "node": await service.beehives.get(data.node_name),
    }


@post("/v2/registry/beehives/import", status_code=200)
async def import_beehives(service: QueenService, data: ImportBeehives) -> dict[str, Any]:
    """Enter several machines, all or none."""
    entered = await service.beehives.enter(data.nodes, update=data.update)
    return {"success": True, "added": entered.added, "updated": entered.updated}


@get("/v2/registry/beehives/list")
async def list_beehives(service: QueenService) -> dict[str, list[Beehive]]:
    """All machines that were entered."""
    return {"nodes": await service.beehives.list()}


@post("/v2/registry/beehives/remove", status_code=200)
async def remove_beehive(service: QueenService, data: BeehiveName) -> dict[str, Any]:
    """Take a machine out."""
    return await _remove(service, data.node_name)


@delete("/v2/registry/beehives/remove", status_code=200)
async def delete_beehive(
    service: QueenService, request: Request[Any, Any, Any], node_name: str | None = None
) -> dict[str, Any]:
    """The same, named in the query or the body."""
    if node_name is None:
        try:
            node_name = msgspec.json.decode(await request.body(), type=BeehiveName).node_name
        except msgspec.DecodeError as error:
            raise InvalidRequestError(
                "Name the beehive: ?node_name=NAME, or a body with 'node_name'.", param="node_name"
            ) from error
    return await _remove(service, node_name)


BEEHIVE_ROUTES = (add_beehive, import_beehives, list_beehives, remove_beehive, delete_beehive)


async def _remove(service: QueenService, node_name: str) -> dict[str, Any]:
    await service.beehives.remove(node_name)
    return {"success": True, "message": f"Beehive {node_name!r} was removed.", "node_name": node_name}
