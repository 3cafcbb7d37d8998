"""One machine that commands can be run on and files sent to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path, PurePosixPath

import msgspec


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended.

    Attributes:
        argv: what was run.
        code: its exit code; -1 when a signal ended it.
        out: what it wrote to standard output, UTF-8, undecodable bytes replaced, at most 1 MiB.
        err: likewise to standard error.
    """

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def good(self) -> bool:
        """Whether it ended with 0."""
        return self.code == 0


class Host(ABC):
    """A machine, connected.  All paths are the machine's own; relative ones start in the user's home.

    Every method raises `UnreachableError` when the line breaks, naming the host.

    Attributes:
        name: by which the operator calls it.
        user: who is logged in.
    """

    name: str
    user: str

    @abstractmethod
    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout_s: float = 60.0,
        tell: Callable[[str], None] | None = None,
    ) -> Ran:
        """Run a command to its end; one that ends badly raises nothing.

        Args:
            argv: program and arguments; quoted for the machine's shell by this method, never by callers.
            stdin: given to it.
            timeout_s: after which it is ended.
            tell: given each line of its output as it comes.

        Raises:
            RequestTimeoutError: it took too long.
        """

    @abstractmethod
    async def send(
        self, source: Path, target: PurePosixPath, *, mode: int = 0o644, sent: Callable[[int], None] | None = None
    ) -> None:
        """Send a file; it stands there whole or not at all, and what of it was there before is gone on with.

        Args:
            source: on this machine.
            target: on the other one; its folder is made.
            mode: of the file.
            sent: told the bytes sent since the last call.

        Raises:
            InsufficientDiskError: the other disk is full.
            PermissionDeniedError: it may not be written there.
        """

    @abstractmethod
    async def write(self, target: PurePosixPath, content: bytes, *, mode: int = 0o600) -> None:
        """Write a small file, whole or not at all; raises as `send`."""

    @abstractmethod
    async def read(self, source: PurePosixPath, most: int = 1024 * 1024) -> bytes | None:
        """A small file's content, its first `most` bytes; None when there is none."""

    @abstractmethod
    def forward(self, host: str, port: int) -> AbstractAsyncContextManager[int]:
        """A port on this machine's loopback that leads to an address as the other machine sees it.

        Args:
            host: name or address there.
            port: there.

        Returns:
            The port here, as long as the context is open.
        """

    @abstractmethod
    def backward(self, port: int, there: int = 0) -> AbstractAsyncContextManager[int]:
        """A port on the other machine's loopback that leads to a port of this machine's loopback.

        Args:
            port: here.
            there: on the other machine; 0 takes a free one.

        Returns:
            The port there, as long as the context is open.

        Raises:
            PortTakenError: the one that was asked for is not to be had.
            ConfigurationError: none is to be had.
            UnreachableError: the line broke.
        """

    @abstractmethod
    def lines(self, argv: Sequence[str]) -> AsyncGenerator[str]:
        """The output of a command that goes on, line by line; it is ended when the generator is closed."""

    @abstractmethod
    async def close(self) -> None:
        """End the connection and what still runs over it."""
