"""What reading a file as a Python pickle would do, found without doing any of it.

A pickle has no mark that it must begin with: any bytes are one that are instructions, and a file may be one and look
like something else.  So they are followed here as the reader of pickles follows them, to where it would stop.  Where
that reader's rules for arguments are not kept to the letter, these are laxer.
"""

from __future__ import annotations

import pickletools
from enum import Enum, auto
from types import MappingProxyType
from typing import BinaryIO, Final

MOST: Final = 200_000
"""Instructions that are followed; no other file has so many in a row."""
LONGEST_LINE: Final = 16 << 20

_OPCODES: Final = MappingProxyType({opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes})
_FIXED: Final = MappingProxyType({"uint1": 1, "uint2": 2, "int4": 4, "uint4": 4, "uint8": 8, "float8": 8})
_COUNTED: Final = MappingProxyType(
    {
        "string1": 1,
        "bytes1": 1,
        "unicodestring1": 1,
        "long1": 1,
        "string4": 4,
        "bytes4": 4,
        "unicodestring4": 4,
        "long4": 4,
        "bytes8": 8,
        "unicodestring8": 8,
        "bytearray8": 8,
    }
)
_LINES: Final = frozenset(
    {"decimalnl_short", "decimalnl_long", "floatnl", "stringnl", "stringnl_noescape", "unicodestringnl"}
)
_QUOTES: Final = (b"'", b'"')
_TWO_LINES: Final = "stringnl_noescape_pair"
_CALLS: Final = frozenset({"INST", "REDUCE", "BUILD", "OBJ", "NEWOBJ", "NEWOBJ_EX"})
_NOT_HERE: Final = frozenset({"EXT1", "EXT2", "EXT4"})
"""They call for what a program has registered by numbers, which none does: reading fails there."""


class Ending(Enum):
    """How the instructions of a file end."""

    NOWHERE = auto()
    """In bytes that are none: it is no pickle, or one that reading fails on."""
    WHOLE = auto()
    """At the end of the file, as they should."""
    CALL = auto()
    """They call something that they name; what follows has not been looked at."""
    ENDLESS = auto()
    """There are more than anybody follows."""


def follow(file: BinaryIO, size: int) -> tuple[Ending, int]:
    """Where the instructions lead, and how many have been followed.

    Args:
        file: at its first byte, able to seek.
        size: its length.
    """
    return _Walk(file, size).go()


class _NoInstructionError(Exception):
    """Reading would fail here."""


class _EndlessError(Exception):
    """Nobody reads that far."""


class _Walk:
    """One walk through a file.

    Args:
        file: at its first byte, able to seek.
        size: its length.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size
        # How many things lie on the stack, above each mark.
        self._stack = [0]
        self._has_text = False
        self._has_name = False

    def go(self) -> tuple[Ending, int]:
        count = 0
        try:
            while count < MOST:
                opcode = _OPCODES.get(self._read(1))
                if opcode is None or opcode.name in _NOT_HERE:
                    return Ending.NOWHERE, count
                self._pass(opcode)
                self._move(opcode)
                count += 1
                if self._has_name and opcode.name in _CALLS:
                    return Ending.CALL, count
                if opcode.name == "STOP":
                    if not self._left:
                        return Ending.WHOLE, count
                    # What follows may be another one: older libraries pack a model as several.
                    self._stack = [0]
        except _NoInstructionError:
            return Ending.NOWHERE, count
        except _EndlessError:
            pass
        return Ending.ENDLESS, count

    def _pass(self, opcode: pickletools.OpcodeInfo) -> None:
        """Go behind the argument."""
        argument = opcode.arg.name if opcode.arg is not None else ""
        if argument in _FIXED:
            self._skip(_FIXED[argument])
        elif argument in _COUNTED:
            self._skip(int.from_bytes(self._read(_COUNTED[argument]), "little"))
        elif argument == _TWO_LINES:
            self._has_name = _is_name(self._line()) & _is_name(self._line())
            if not self._has_name:
                raise _NoInstructionError
        elif argument in _LINES and not self._line().startswith(_QUOTES) and argument == "stringnl":
            raise _NoInstructionError
        self._has_text |= "string" in argument
        if opcode.name == "STACK_GLOBAL":
            if not self._has_text:
                raise _NoInstructionError
            self._has_name = True

    def _move(self, opcode: pickletools.OpcodeInfo) -> None:
        """Do to the heights of the stack what the instruction does."""
        before, stack = opcode.stack_before, self._stack
        if opcode.name == "MARK":
            stack.append(0)
            return
        if opcode.name == "POP" and not stack[-1] and len(stack) > 1:
            # A mark on top is a thing like others for it.
            stack.pop()
            return
        if pickletools.markobject in before:
            below = before.index(pickletools.markobject)
            # What must be above the mark, besides any number of things more.
            if len(stack) == 1 or stack.pop() < len(before) - below - 2:
                raise _NoInstructionError
        else:
            below = len(before)
        if stack[-1] < below:
            raise _NoInstructionError
        stack[-1] += len(opcode.stack_after) - below

    def _read(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise _NoInstructionError
        self._left -= count
        return data

    def _skip(self, count: int) -> None:
        if count > self._left:
            raise _NoInstructionError
        self._left -= count
        self._file.seek(count, 1)

    def _line(self) -> bytes:
        line = self._file.readline(LONGEST_LINE)
        self._left -= len(line)
        if line.endswith(b"\n"):
            return line[:-1]
        if len(line) == LONGEST_LINE:
            raise _EndlessError
        raise _NoInstructionError


def _is_name(line: bytes) -> bool:
    """Whether it may be that of a module, or of something in one."""
    try:
        return all(part.isidentifier() for part in line.decode("utf-8").split("."))
    except UnicodeDecodeError:
        return False
