"""Looking into models' files in a process of its own: they come from anybody, and reading them must harm nobody."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

import rbee
from rbee.catalog import inspect_child
from rbee.catalog.inspection_wire import Finding, Inquiry
from rbee.contract.errors import ModelFileError, UnavailableError
from rbee.contract.formats import ModelHead
from rbee.contract.formats.refusals import shown

DEADLINE_S: Final = 20.0
LARGEST_DATA: Final = 8 << 20
LARGEST_ANSWER: Final = 4 << 20
_AT_ONCE: Final = 2
_BLOCK: Final = 1 << 16

_NEEDED: Final = frozenset({"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"})
"""Without these a Python whose own library lies in an unusual place does not start."""
_LIMITS: Final = frozenset({signal.SIGKILL, signal.SIGXCPU, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS})


class Inspector:
    """Reads heads; keeps no process running.

    Args:
        environment: of this program; all but what Python needs to start is kept from the process.
        deadline_s: longest time for one model.
    """

    def __init__(self, environment: Mapping[str, str] = MappingProxyType({}), deadline_s: float = DEADLINE_S) -> None:
        self._environment = {name: value for name, value in environment.items() if name in _NEEDED}
        self._deadline_s = deadline_s
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def head(self, path: Path) -> ModelHead:
        """The head of a model: a GGUF file with all its parts, a safetensors file, or a folder with either.

        Raises:
            ModelFileError: there is none, or a damaged one; it is a pickle; or reading it took too much.
            UnavailableError: no process could be started.
        """
        return await self._ask(_about(path))

    async def head_of_bytes(self, format: str, data: bytes, name: str = "from elsewhere") -> ModelHead:  # noqa: A002
        """As much of a head as stands in the first bytes of a file.

        Args:
            format: ``gguf`` or ``safetensors``.
            data: the file's first bytes; of more than 8 MiB the rest is left out.
            name: of the file, for messages.

        Raises:
            ModelFileError: these are not the first bytes of such a file; or reading them took too much.
            UnavailableError: no process could be started.
        """
        return await self._ask(Inquiry(name=name, format=format, data=data[:LARGEST_DATA]))

    async def _ask(self, inquiry: Inquiry) -> ModelHead:
        name = shown(inquiry.name)
        asked = msgspec.json.encode(msgspec.structs.replace(inquiry, name=name))
        async with self._turns:
            told = await self._run(asked, name)
        try:
            finding = msgspec.json.decode(told, type=Finding)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise _unreadable(name, "the answer about it makes no sense") from error
        if finding.head is None:
            raise ModelFileError(finding.error or _unreadable(name, "nothing was found").message)
        return finding.head

    async def _run(self, asked: bytes, name: str) -> bytes:
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-ISB",
                inspect_child.__file__,
                *_folders(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=self._environment,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise UnavailableError(
                f"No process could be started to look into '{name}': {error.strerror or error}. Try again in a while."
            ) from error
        try:
            async with asyncio.timeout(self._deadline_s):
                told = await _exchange(process, asked)
                code = await process.wait() if len(told) <= LARGEST_ANSWER else 0
        except TimeoutError as error:
            raise _unreadable(name, f"reading its head took longer than {self._deadline_s:g} s") from error
        finally:
            await _end(process)
        if len(told) > LARGEST_ANSWER:
            raise _unreadable(name, f"its head tells more than {LARGEST_ANSWER >> 20} MiB")
        if -code in _LIMITS:
            raise _unreadable(
                name,
                f"reading its head took more than {inspect_child.MEMORY_BYTES >> 20} MiB of memory or "
                f"{inspect_child.CPU_S} s of processor time",
            )
        if code != 0:
            raise _unreadable(name, f"the process that read its head ended with code {code}")
        return told


def _about(path: Path) -> Inquiry:
    absolute = path.absolute()
    return Inquiry(name=str(absolute), path=os.fsencode(absolute))


async def _exchange(process: asyncio.subprocess.Process, asked: bytes) -> bytes:
    """Give the question and take the answer, one byte more than may be at most."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a process without its pipes")
    # One that has ended already takes no question; its end tells why.
    with contextlib.suppress(ConnectionError):
        process.stdin.write(asked)
        await process.stdin.drain()
    process.stdin.close()
    blocks: list[bytes] = []
    left = LARGEST_ANSWER + 1
    while left > 0 and (block := await process.stdout.read(min(left, _BLOCK))):
        blocks.append(block)
        left -= len(block)
    return b"".join(blocks)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    # Read to the end: a pipe that is left full is never seen to close.
    while process.stdout is not None and await process.stdout.read(_BLOCK):
        pass
    await process.wait()


def _folders() -> tuple[str, ...]:
    """Where the process finds rbee and what it needs."""
    return (str(Path(rbee.__file__).parents[1]), str(Path(msgspec.__file__).parents[1]))


def _unreadable(name: str, reason: str) -> ModelFileError:
    return ModelFileError(f"model file '{name}' cannot be used: {reason}; fetch it again, or check what it is")
