"""The routes by which the queen and other hives see the models of a hive, and take their files."""

from __future__ import annotations

import asyncio
import os
import re
from io import FileIO
from typing import Any, Protocol, runtime_checkable

from litestar import Request, get
from litestar.response.base import ASGIResponse

from rbee.contract.errors import InvalidRequestError, NotFoundError
from rbee.contract.wire import HeldModels, ModelStanding
from rbee.hive.shelf import ServedFile, Shelf
from rbee.http.filesend import send_part

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
) -> FilePart:
    """One file of a model, whole or a ``Range`` of it; with ``sha256`` only if it is that one."""
    file = await service.shelf.file(key, name.removeprefix("/"), sha256)
    # What is opened now is what is sent, whatever the name means in a moment.
    stream = await asyncio.to_thread(_open, file)
    try:
        size = os.fstat(stream.fileno()).st_size
        asked = request.headers.get("range")
        if request.headers.get("if-range", f'"{file.tag}"') != f'"{file.tag}"':
            asked = None
        return FilePart(stream, size, file.tag, None if asked is None else _part(asked, size))
    except BaseException:
        stream.close()
        raise


class FilePart(ASGIResponse):
    """A file, or a part of it, as an answer.

    Args:
        stream: opened; closed when the answer has been sent.
        size: of the whole.
        tag: changes with its content.
        part: what was asked for, perhaps nothing; None for the whole.
    """

    def __init__(self, stream: FileIO, size: int, tag: str, part: range | None) -> None:
        self._stream = stream
        self._wanted = range(size) if part is None else part
        headers = {"accept-ranges": "bytes", "etag": f'"{tag}"', "cache-control": "private, no-transform"}
        status = 200
        if part is not None:
            told = f"{part.start}-{part.stop - 1}" if part else "*"
            headers["content-range"] = f"bytes {told}/{size}"
            status = 206 if part else 416
        super().__init__(status_code=status, headers=headers, media_type=_KIND, content_length=len(self._wanted))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send it."""
        try:
            await self.start_response(send)
            await send_part(scope, send, self._stream, self._wanted)
        finally:
            self._stream.close()


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


CATALOG_ROUTES = (catalog, standing, model_file)
