"""This machine as another one, for tests of what is done there: real commands and files, without a line between."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from rbee.contract.errors import RequestTimeoutError
from rbee.remote.host import Host, Ran


class LocalHost(Host):
    """Runs commands here, with a home of its own.

    Args:
        home: of the user there; made.
        environment: beside it, ``PATH`` for one.
        name: of the machine.
    """

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None, name: str = "box") -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.user = "somebody"
        self.home = home
        self.environment = {"PATH": os.environ["PATH"], **(environment or {}), "HOME": str(home)}
        self.ran: list[tuple[str, ...]] = []

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout_s: float = 60.0,
        tell: Callable[[str], None] | None = None,
    ) -> Ran:
        """Run a command here."""
        self.ran.append(tuple(argv))
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.home,
            env=self.environment,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(timeout_s):
                out, err = await process.communicate(stdin)
        except TimeoutError as error:
            raise RequestTimeoutError(f"{argv[0]} on {self.name} took too long.") from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if tell is not None:
            for line in out.decode("utf-8", "replace").splitlines():
                tell(line)
        code = process.returncode if process.returncode is not None and process.returncode >= 0 else -1
        return Ran(argv=tuple(argv), code=code, out=out.decode("utf-8", "replace"), err=err.decode("utf-8", "replace"))

    async def send(
        self, source: Path, target: PurePosixPath, *, mode: int = 0o644, sent: Callable[[int], None] | None = None
    ) -> None:
        """Copy a file."""
        place = self._at(target)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
        place.chmod(mode)
        if sent is not None:
            sent(place.stat().st_size)

    async def write(self, target: PurePosixPath, content: bytes, *, mode: int = 0o600) -> None:
        """Write a file."""
        place = self._at(target)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        place.chmod(mode)

    async def read(self, source: PurePosixPath, most: int = 1024 * 1024) -> bytes | None:
        """Read a file."""
        place = self._at(source)
        return place.read_bytes()[:most] if place.is_file() else None

    @contextlib.asynccontextmanager
    async def forward(self, host: str, port: int) -> AsyncIterator[int]:
        """The same port: both machines are one."""
        yield port

    @contextlib.asynccontextmanager
    async def backward(self, port: int, there: int = 0) -> AsyncIterator[int]:
        """Likewise."""
        yield there or port

    async def lines(self, argv: Sequence[str]) -> AsyncGenerator[str]:
        """The lines of a command, once it has ended."""
        for line in (await self.run(argv)).out.splitlines():
            yield line

    async def close(self) -> None:
        """Nothing is open."""

    def _at(self, path: PurePosixPath) -> Path:
        return self.home / path
