"""The routes by which the queen and other hives see the models of a hive, and take their files."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator
from io import FileIO
from typing import Any, Protocol, runtime_checkable

from litestar import Request, Response, get
from litestar.response import Stream

from rbee.contract.errors import InvalidRequestError, NotFoundError
from rbee.contract.wire import HeldModels, ModelStanding
from rbee.hive.shelf import ServedFile, Shelf

_BLOCK = 1024 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_KIND = "application/octet-stream"


@runtime_checkable
class HasShelf(Protocol):
    """A service with models that others may take."""

    @property
    def shelf(self) -> Shelf:
        """What is on its disk."""


@get("/v1/catalog")
async def catalog(service: HasShelf) -> HeldModels:
    """Models that are whole here."""
    return await service.shelf.held()


@get("/v1/catalog/{key:str}")
async def standing(service: HasShelf, key: str, checksums: bool = False) -> ModelStanding:
    """How far this hive is with one model; ``checksums`` computes those that its vendor does not give."""
    return await service.shelf.standing(key, checksums=checksums)


@get("/v1/models/{key:str}/files/{name:path}")
async def model_file(
    service: HasShelf, request: Request[Any, Any, Any], key: str, name: str, sha256: str | None = None
) -> Response[Any]:
    """One file of a model, whole or a ``Range`` of it; with ``sha256`` only if it is that one."""
    file = await service.shelf.file(key, name.removeprefix("/"), sha256)
    stream = await asyncio.to_thread(_open, file)
    try:
        # What is opened now is what is sent, whatever the name means in a moment.
        size = os.fstat(stream.fileno()).st_size
        tag = f'"{file.tag}"'
        headers = {"accept-ranges": "bytes", "etag": tag, "cache-control": "private, no-transform"}
        asked = request.headers.get("range")
        if asked is not None and request.headers.get("if-range", tag) != tag:
            asked = None
        part = None if asked is None else _part(asked, size)
        if part is not None and part.stop <= part.start:
            stream.close()
            return Response(
                b"", status_code=416, headers={**headers, "content-range": f"bytes */{size}"}, media_type=_KIND
            )
        wanted = part or range(size)
        headers["content-length"] = str(len(wanted))
        if part is not None:
            headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    except BaseException:
        stream.close()
        raise
    return Stream(_blocks(stream, wanted), status_code=200 if part is None else 206, headers=headers, media_type=_KIND)


def _open(file: ServedFile) -> FileIO:
    try:
        return file.path.open("rb", buffering=0)
    except OSError as error:
        raise NotFoundError(f"The file {file.name!r} cannot be read here: {error.strerror or error}.") from error


def _part(asked: str, size: int) -> range | None:
    """The bytes that a ``Range`` means; an empty one when there are none, None for several, of which all is sent.

    Raises:
        InvalidRequestError: it is no range of bytes.
    """
    if "," in asked:
        return None
    found = _RANGE.fullmatch(asked.strip())
    if found is None or found.group(0) == "bytes=-":
        raise InvalidRequestError(f"The Range {asked[:60]!r} is not as bytes=START-END.", param="range")
    first, last = found.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    return range(int(first), min(size, int(last) + 1) if last else size)


async def _blocks(stream: FileIO, wanted: range) -> AsyncGenerator[bytes]:
    try:
        at = wanted.start
        while at < wanted.stop:
            block = await asyncio.to_thread(os.pread, stream.fileno(), min(_BLOCK, wanted.stop - at), at)
            if not block:
                # Shorter than it was a moment ago: the line is cut, so that nobody takes it for whole.
                raise NotFoundError("The file became shorter while it was sent.")
            at += len(block)
            yield block
    finally:
        stream.close()


CATALOG_ROUTES = (catalog, standing, model_file)
