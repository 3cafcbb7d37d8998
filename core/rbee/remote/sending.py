"""Files to and from another machine, over SFTP."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import asyncssh

from rbee.contract.errors import InsufficientDiskError, UnreachableError
from rbee.remote.failing import told
from rbee.remote.host import Host

_PIECE = 4 * 1024 * 1024
_SUM_S = 3600.0
# The program that sums is another one on macOS; the sum is the first word of both.
_SUM = 'if command -v sha256sum >/dev/null 2>&1; then exec sha256sum -- "$1"; else exec shasum -a 256 -- "$1"; fi'


class Sending:
    """One file on its way: under another name until it is whole.

    Args:
        host: for messages and sums.
        files: its files.
        source: here.
        target: there.
        mode: of the file there.
        sent: told the bytes since the last call.
    """

    def __init__(
        self,
        host: Host,
        files: asyncssh.SFTPClient,
        source: Path,
        target: PurePosixPath,
        mode: int,
        sent: Callable[[int], None] | None,
    ) -> None:
        self._host = host
        self._files = files
        self._source = source
        self._target = target
        self._part = target.with_name(target.name + ".part")
        self._mode = mode
        self._sent = sent or (lambda _: None)

    async def whole(self) -> None:
        """Send what is missing, compare, and put it in place; what is there already is not sent again."""
        size = (await asyncio.to_thread(self._source.stat)).st_size
        sums = await asyncio.to_thread(_sum, self._source, size)
        if await self._has(self._target, size) and await self._sum(self._target) == sums:
            await self._files.chmod(str(self._target), self._mode)
            self._sent(size)
            return
        await make_folder(self._files, self._target.parent)
        begun = await self._begun(size)
        await self._fits(size - begun)
        self._sent(begun)
        try:
            await self._rest(begun, size)
        except asyncssh.SFTPFailure as error:
            # OpenSSH says no more than "Failure" of a full disk.
            await self._fits(size, error)
            raise
        if await self._sum(self._part) != sums:
            await self._files.remove(str(self._part))
            raise UnreachableError(
                f"Hive {self._host.name!r}, sending '{self._target}': what arrived is not what was sent, and was "
                "removed. Did the file change meanwhile? Try again.",
                details=told(self._host.name, f"sending '{self._target}'", "line"),
            )
        await self._files.chmod(str(self._part), self._mode)
        await replace(self._files, self._part, self._target)

    async def _begun(self, size: int) -> int:
        """How many bytes are there that are the file's first ones; others are begun anew."""
        try:
            there = (await self._files.stat(str(self._part))).size or 0
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return 0
        if not 0 < there <= size:
            return 0
        return there if await self._sum(self._part) == await asyncio.to_thread(_sum, self._source, there) else 0

    async def _rest(self, begun: int, size: int) -> None:
        how = "r+b" if begun else "wb"
        with self._source.open("rb") as source:
            source.seek(begun)
            async with self._files.open(str(self._part), how) as target:
                at = begun
                while at < size and (piece := await asyncio.to_thread(source.read, _PIECE)):
                    await target.write(piece, at)
                    at += len(piece)
                    self._sent(len(piece))

    async def _has(self, path: PurePosixPath, size: int) -> bool:
        try:
            return (await self._files.stat(str(path))).size == size
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return False

    async def _sum(self, path: PurePosixPath) -> str:
        ran = await self._host.run(["sh", "-c", _SUM, "sh", str(path)], timeout_s=_SUM_S)
        return ran.out.split(" ", 1)[0].lstrip("\\") if ran.good else ""

    async def _fits(self, missing: int, error: Exception | None = None) -> None:
        """Raises InsufficientDiskError when so many bytes more do not fit; a machine that does not tell is tried."""
        try:
            disk = await self._files.statvfs(str(self._target.parent))
        except asyncssh.SFTPError:
            return
        free = disk.bavail * disk.frsize
        if free < missing:
            raise InsufficientDiskError(
                f"Hive {self._host.name!r}, sending '{self._target}': {missing} bytes are to be written and "
                f"{free} are free on its disk. Make room there.",
                details=told(self._host.name, f"sending '{self._target}'", "disk_full", missing=missing, free=free),
            ) from error


async def make_folder(files: asyncssh.SFTPClient, folder: PurePosixPath) -> None:
    """Make a folder with those above it; those that are missing are for this user alone."""
    if str(folder) not in {"", "."} and not await files.isdir(str(folder)):
        await files.makedirs(str(folder), asyncssh.SFTPAttrs(permissions=0o700), exist_ok=True)


async def replace(files: asyncssh.SFTPClient, part: PurePosixPath, target: PurePosixPath) -> None:
    """Give a file its name, in place of one that has it."""
    try:
        await files.posix_rename(str(part), str(target))
    except asyncssh.SFTPOpUnsupported:
        if await files.exists(str(target)):
            await files.remove(str(target))
        await files.rename(str(part), str(target))


async def write_file(host: Host, files: asyncssh.SFTPClient, target: PurePosixPath, content: bytes, mode: int) -> None:
    """Write a small file, whole or not at all."""
    await make_folder(files, target.parent)
    part = target.with_name(target.name + ".part")
    try:
        # Its rights before its content.
        async with files.open(str(part), "wb", asyncssh.SFTPAttrs(permissions=0o600)) as file:
            await file.write(content)
    except asyncssh.SFTPFailure as error:
        await files.remove(str(part))
        raise InsufficientDiskError(
            f"Hive {host.name!r}, writing '{target}': it cannot be written ({error.reason}); is its disk full?",
            details=told(host.name, f"writing '{target}'", "disk_full"),
        ) from error
    await files.chmod(str(part), mode)
    await replace(files, part, target)


async def read_file(files: asyncssh.SFTPClient, source: PurePosixPath, most: int) -> bytes | None:
    """The first bytes of a file; None when there is none."""
    try:
        async with files.open(str(source), "rb") as file:
            content: bytes = await file.read(most)
            return content
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
        return None


def _sum(path: Path, size: int) -> str:
    """The SHA-256 of a file's first bytes, in hexadecimal."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (piece := file.read(min(size, _PIECE))):
            found.update(piece)
            size -= len(piece)
    return found.hexdigest()
