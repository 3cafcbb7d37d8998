"""Files in the style of ssh_config(5), line by line: a keyword and its arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rbee.contract.errors import ConfigurationError

_LARGEST = 4 * 1024 * 1024
# A keyword, then white space, at most one '=', white space, and the rest.
_LINE = re.compile(r"[ \t\f\v]*([^\s\"=#][^\s\"=]*)[ \t]*=?[ \t]*(.*)", re.DOTALL)
_BLANK = " \t"
_ESCAPABLE = "'\"\\"


class Directive(NamedTuple):
    """One line that says something.

    Attributes:
        file: where it stands.
        line: counted from 1.
        keyword: in small letters.
        args: what follows, without quotes.
    """

    file: Path
    line: int
    keyword: str
    args: tuple[str, ...]

    def value(self) -> str:
        """The one argument.

        Raises:
            ConfigurationError: there is none, or an empty one.
        """
        if not self.args or not self.args[0]:
            raise self.error(f"{self.keyword!r} needs a value")
        return self.args[0]

    def port(self) -> int:
        """The one argument as a port.

        Raises:
            ConfigurationError: it is none.
        """
        text = self.value()
        if not (text.isascii() and text.isdecimal() and len(text) < 6 and 0 < int(text) < 65536):
            raise self.error(f"{self.keyword!r} is {text!r} and must be a port, 1 to 65535")
        return int(text)

    def error(self, what: str) -> ConfigurationError:
        """What is wrong with this line."""
        return line_error(self.file, self.line, what)


def line_error(file: Path, line: int, what: str) -> ConfigurationError:
    """What is wrong with a line, as an error that names it."""
    return ConfigurationError(f"'{file}', line {line}: {what}. Nothing was entered.")


def read_directives(file: Path) -> list[Directive]:
    """The lines of a file without comments and empty ones.

    Raises:
        OSError: it cannot be read.
        ConfigurationError: it is no such file, or a quote is not closed.
    """
    with file.open("rb") as stream:
        raw = stream.read(_LARGEST + 1)
    if len(raw) > _LARGEST:
        raise ConfigurationError(f"'{file}' has more than {_LARGEST // 1024 // 1024} MiB; it is no list of hosts.")
    if b"\0" in raw:
        raise ConfigurationError(f"'{file}' is no text file.")
    # Comments may be in any encoding; a name with a replaced letter fails its own check.
    text = raw.decode("utf-8-sig", errors="replace")
    return list(_directives(file, text))


def _directives(file: Path, text: str) -> Iterator[Directive]:
    for number, raw in enumerate(text.split("\n"), start=1):
        found = _LINE.fullmatch(raw.rstrip(" \t\r\f\v"))
        if found is None:
            stripped = raw.strip()
            if stripped and not stripped.startswith("#"):
                raise line_error(file, number, f"{stripped[:40]!r} does not begin with a keyword")
            continue
        yield Directive(file, number, found[1].lower(), tuple(_words(found[2], file, number)))


def _words(text: str, file: Path, number: int) -> Iterator[str]:
    """Words as OpenSSH splits them: quotes of both kinds, a few escapes, a comment where a word could begin."""
    position, end = 0, len(text)
    while position < end:
        if text[position] in _BLANK:
            position += 1
            continue
        if text[position] == "#":
            return
        word, quote = "", ""
        while position < end:
            char = text[position]
            following = text[position + 1 : position + 2]
            if char == "\\" and following and (following in _ESCAPABLE or (not quote and following == " ")):
                word += following
                position += 1
            elif not quote and char in _BLANK:
                break
            elif not quote and char in "'\"":
                quote = char
            elif quote and char == quote:
                quote = ""
            else:
                word += char
            position += 1
        if quote:
            raise line_error(file, number, f"a quote ({quote}) is not closed")
        yield word
