"""One worker process, and its end.

Not asyncio's: its subprocesses are killed when their handles are dropped, and a worker may be left running.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import IO, Self


class ChildProcess:
    """A child of this process.

    Args:
        popen: just started; nobody else waits for it.
    """

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()

    @classmethod
    def start(
        cls, argv: Sequence[str], environment: Mapping[str, str], output: IO[bytes], pass_fds: Sequence[int] = ()
    ) -> Self:
        """Start a program in a session of its own; its end is waited for in a thread that keeps no program alive.

        Args:
            argv: program and arguments.
            environment: all of it.
            output: stdout and stderr.
            pass_fds: further descriptors for the child.

        Raises:
            OSError: it could not be started.
        """
        process = cls(
            subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment),
                pass_fds=pass_fds,
                # Ctrl+C in the hive's terminal is the hive's to act on; its workers drain in order.
                start_new_session=True,
            )
        )
        threading.Thread(target=process._watch, name=f"end of {process.pid}", daemon=True).start()
        return process

    @property
    def pid(self) -> int:
        """Its id."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """Its code, negative for the signal that ended it; None while its end has not been noticed."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        """Its code, once it has ended.  Any number may wait, and leave."""
        return await asyncio.shield(self._ended)

    def _watch(self) -> None:
        code = self._popen.wait()
        # The loop may have closed: a worker that was left running ends long after.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._ended.set_result, code)
