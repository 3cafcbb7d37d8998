"""A machine, connected over SSH."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shlex
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import asyncssh

from rbee.contract.errors import RequestTimeoutError
from rbee.remote.failing import failure, taken, told
from rbee.remote.host import Host, Ran
from rbee.remote.sending import Sending, read_file, write_file
from rbee.remote.words import Words

LOOPBACK = "127.0.0.1"

# A line of its own tells the number of the process, which leads its own group: a connection cannot be relied on to
# end what runs at its other end.  It begins with what nobody else writes, who greets or repeats what it is to run.
_TELLING = 'echo "<$1>$$"; shift; exec "$@"'
_ENDING = (
    'kill -TERM "-$1" 2>/dev/null || kill -TERM "$1" 2>/dev/null || exit 0; '
    'for i in 1 2 3 4 5; do kill -0 "$1" 2>/dev/null || exit 0; sleep 0.2 2>/dev/null || sleep 1; done; '
    'kill -KILL "-$1" 2>/dev/null || kill -KILL "$1" 2>/dev/null'
)
_ENDING_S = 8.0
_PIECE = 64 * 1024


class SshHost(Host):
    """A machine behind an SSH connection; see `Host`.

    Args:
        name: by which the operator calls it.
        connection: logged in.
        place: ``user@host:port``, for messages.
        opened: closes the connection and those that it goes through.
        is_behind: as the attribute.

    Attributes:
        fingerprint: of the host key that it showed, ``SHA256:...``.
        key_type: of that key: ``ssh-ed25519``.
        address: of the machine, as the SSH configuration has it.
        port: of its SSH server.
        is_behind: whether other machines stand between.
    """

    def __init__(
        self,
        name: str,
        connection: asyncssh.SSHClientConnection,
        place: str,
        opened: contextlib.AsyncExitStack,
        *,
        is_behind: bool = False,
    ) -> None:
        self.name = name
        self.user: str = connection.get_extra_info("username")
        self.place = place
        key = connection.get_server_host_key()
        self.fingerprint: str | None = None if key is None else key.get_fingerprint("sha256")
        self.key_type: str | None = None if key is None else key.get_algorithm()
        self.address: str = connection.get_extra_info("host")
        self.port: int = connection.get_extra_info("port")
        self.is_behind = is_behind
        self._connection = connection
        self._opened = opened
        self._sftp: asyncssh.SFTPClient | None = None
        self._sftp_lock = asyncio.Lock()

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout_s: float = 60.0,
        tell: Callable[[str], None] | None = None,
    ) -> Ran:
        """See `Host.run`."""
        with self._step(f"running {argv[0]!r}"):
            mark = secrets.token_hex(16)
            out, err = Words(tell, f"<{mark}>"), Words(tell)
            process = await self._start(argv, mark)
            try:
                async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as tasks:
                    tasks.create_task(_feed(process, stdin))
                    tasks.create_task(_gather(process.stdout, out))
                    tasks.create_task(_gather(process.stderr, err))
                    tasks.create_task(process.wait_closed())
            except TimeoutError:
                raise RequestTimeoutError(
                    f"Hive {self.name!r}, running {argv[0]!r}: it took more than {timeout_s:g} s on {self.place} and "
                    "was ended. Look there what keeps it.",
                    details=told(self.name, f"running {argv[0]!r}", "timeout"),
                ) from None
            finally:
                if process.exit_status is None and process.exit_signal is None:
                    await self._end(process, out.marked)
            if self._connection.is_closed():
                raise asyncssh.ConnectionLost("Connection lost")
            code = -1 if process.exit_status is None or process.exit_signal is not None else process.exit_status
            return Ran(argv=tuple(argv), code=code, out=out.text(), err=err.text())

    async def send(
        self, source: Path, target: PurePosixPath, *, mode: int = 0o644, sent: Callable[[int], None] | None = None
    ) -> None:
        """See `Host.send`."""
        with self._step(f"sending '{target}'"):
            await Sending(self, await self._files(), source, target, mode, sent).whole()

    async def write(self, target: PurePosixPath, content: bytes, *, mode: int = 0o600) -> None:
        """See `Host.write`."""
        with self._step(f"writing '{target}'"):
            await write_file(self, await self._files(), target, content, mode)

    async def read(self, source: PurePosixPath, most: int = 1024 * 1024) -> bytes | None:
        """See `Host.read`."""
        with self._step(f"reading '{source}'"):
            return await read_file(await self._files(), source, most)

    @contextlib.asynccontextmanager
    async def forward(self, host: str, port: int) -> AsyncIterator[int]:
        """See `Host.forward`."""
        with self._step(f"forwarding to {host}:{port}"):
            listener = await self._connection.forward_local_port(LOOPBACK, 0, host, port)
        try:
            yield listener.get_port()
        finally:
            listener.close()
            await listener.wait_closed()

    @contextlib.asynccontextmanager
    async def backward(self, port: int, there: int = 0) -> AsyncIterator[int]:
        """See `Host.backward`."""
        step = f"forwarding back to port {port}"
        with self._step(step):
            try:
                listener = await self._connection.forward_remote_port(LOOPBACK, there, LOOPBACK, port)
            except asyncssh.ChannelListenError as error:
                # A free one is refused only where none is to be had.
                raise (taken(self.name, step, self.place, there) if there else error) from None
        try:
            yield listener.get_port()
        finally:
            listener.close()
            await listener.wait_closed()

    async def lines(self, argv: Sequence[str]) -> AsyncGenerator[str]:
        """See `Host.lines`."""
        with self._step(f"following {argv[0]!r}"):
            waiting: list[str] = []
            mark = secrets.token_hex(16)
            words = Words(waiting.append, f"<{mark}>", kept=False)
            process = await self._start(argv, mark)
            try:
                process.stdin.write_eof()
                while piece := await process.stdout.read(_PIECE):
                    words.add(piece)
                    while waiting:
                        yield waiting.pop(0)
                words.end()
                for line in waiting:
                    yield line
                if self._connection.is_closed():
                    raise asyncssh.ConnectionLost("Connection lost")
            finally:
                if process.exit_status is None and process.exit_signal is None:
                    await self._end(process, words.marked)

    async def close(self) -> None:
        """See `Host.close`."""
        await self._opened.aclose()
        with contextlib.suppress(OSError, asyncssh.Error):
            await self._connection.wait_closed()

    async def closed(self) -> None:
        """Return once the connection has ended, by whomever."""
        await self._connection.wait_closed()

    async def _start(self, argv: Sequence[str], mark: str) -> asyncssh.SSHClientProcess[bytes]:
        command = f"exec sh -c {shlex.quote(_TELLING)} sh {mark} {shlex.join(argv)}"
        return await self._connection.create_process(command, encoding=None)

    async def _end(self, process: asyncssh.SSHClientProcess[bytes], number: str | None) -> None:
        """End what runs, here and there."""
        process.close()
        if number is None or not number.isdecimal() or self._connection.is_closed():
            return
        command = f"exec sh -c {shlex.quote(_ENDING)} sh {number}"
        with contextlib.suppress(OSError, asyncssh.Error, TimeoutError):
            # Shielded: one who cancels wants it ended all the more.
            await asyncio.shield(self._connection.run(command, timeout=_ENDING_S, encoding=None))

    async def _files(self) -> asyncssh.SFTPClient:
        async with self._sftp_lock:
            if self._sftp is None:
                self._sftp = await self._connection.start_sftp_client()
            return self._sftp

    @contextlib.contextmanager
    def _step(self, step: str) -> Iterator[None]:
        try:
            yield
        except (OSError, asyncssh.Error, asyncssh.ChannelListenError, ExceptionGroup) as error:
            first: BaseException = error
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            if not isinstance(first, OSError | asyncssh.Error | asyncssh.ChannelListenError):
                raise
            raise failure(first, self.name, step, self.place) from first


async def _feed(process: asyncssh.SSHClientProcess[bytes], stdin: bytes) -> None:
    # Who does not read what it is given ends as it likes.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(stdin)
        await process.stdin.drain()
        process.stdin.write_eof()


async def _gather(stream: asyncssh.SSHReader[bytes], words: Words) -> None:
    while piece := await stream.read(_PIECE):
        words.add(piece)
    words.end()
