"""Machines of an SSH configuration, as ssh_config(5) describes it."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rbee.beehives.beehive import BeehiveChanges, checked
from rbee.beehives.conf_blocks import ALWAYS, NEVER, Patterns, Scoped, concrete, first_values
from rbee.beehives.conf_lines import Directive, read_directives
from rbee.beehives.imported import Imported
from rbee.contract.errors import ConfigurationError, InvalidRequestError

_DEEPEST = 16
_TOKEN = re.compile(r"%(.?)", re.DOTALL)
# What stands for another file; these lines are conditions, not values.
_STRUCTURE = frozenset({"host", "match", "include"})


def read_ssh_config(file: Path, *, home: Path, local_user: str) -> Imported:
    """The hosts of an SSH configuration that stand there by name; wildcards only hand down values.

    Args:
        file: usually ``~/.ssh/config``.
        home: the user's home folder: for ``~``, ``%d`` and files to include.
        local_user: who one is without a ``User``.

    Raises:
        ConfigurationError: it cannot be read or is malformed; the message names file and line.
    """
    reader = _Reader(home)
    scoped = list(reader.read(file))
    values = [one for one in scoped if one.directive.keyword not in _STRUCTURE]
    beehives = []
    notes = list(reader.notes)
    for name, where in concrete(scoped):
        try:
            beehives.append(_beehive(name, first_values(values, name), home, local_user, notes))
        except InvalidRequestError as error:
            notes.append(f"'{where.file}', line {where.line}: left out: {error.message}")
    return Imported(beehives=tuple(beehives), notes=tuple(dict.fromkeys(notes)))


class _Reader:
    """Reads a file with all that it includes."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.notes: list[str] = []

    def read(self, file: Path) -> Iterator[Scoped]:
        try:
            yield from self._file(file, (), 0)
        except OSError as error:
            raise ConfigurationError(f"'{error.filename or file}' cannot be read: {error.strerror}.") from error

    def _file(self, file: Path, around: tuple[Patterns, ...], depth: int) -> Iterator[Scoped]:
        block = ALWAYS
        for directive in read_directives(file):
            if directive.keyword == "host":
                if not directive.args:
                    raise directive.error("'Host' needs at least one name")
                block = directive.args
            elif directive.keyword == "match":
                block = self._match(directive)
            elif directive.keyword == "include":
                yield from self._included(directive, (*around, block), depth)
                continue
            yield Scoped((*around, block), directive)

    def _match(self, directive: Directive) -> Patterns:
        words = [word.lower() for word in directive.args]
        if not words:
            raise directive.error("'Match' needs a condition")
        if words == ["all"]:
            return ALWAYS
        self.notes.append(
            f"'{directive.file}', line {directive.line}: the block 'Match {' '.join(directive.args)}' was left out: "
            "its condition is known only to a connection."
        )
        return NEVER

    def _included(self, directive: Directive, around: tuple[Patterns, ...], depth: int) -> Iterator[Scoped]:
        directive.value()
        if depth >= _DEEPEST:
            raise directive.error(f"files include each other more than {_DEEPEST} times")
        for text in directive.args:
            pattern = _with_home(text, self._home)
            if not Path(pattern).is_absolute():
                pattern = str(self._home / ".ssh" / pattern)
            for path in sorted(glob.glob(pattern)):  # noqa: PTH207  # a Path takes no absolute pattern
                yield from self._file(Path(path), around, depth + 1)


def _beehive(name: str, found: dict[str, Directive], home: Path, local_user: str, notes: list[str]) -> BeehiveChanges:
    host = _expanded(found["hostname"], {"h": name, "n": name}) if "hostname" in found else name
    user = found["user"].value() if "user" in found else None
    port = found["port"].port() if "port" in found else None
    tokens = {"h": host, "n": name, "r": user or local_user, "u": local_user, "d": str(home), "p": str(port or 22)}
    labels, through_host = {}, None
    if (jump := found.get("proxyjump")) is not None and jump.value().lower() != "none":
        through_host = jump.value()
    through = found.get("proxycommand")
    if through is not None and " ".join(through.args).lower() != "none" and through_host is None:
        labels["proxy_jump"] = "command"
        notes.append(f"{name!r} is reached through a ProxyCommand; the queen does not try to reach it by herself.")
    return checked(
        BeehiveChanges(
            node_name=name,
            ssh_host=host,
            **_given(
                ssh_port=port,
                ssh_user=user,
                ssh_key_path=_key(name, found.get("identityfile"), tokens, home, notes),
                ssh_alias=name,
                ssh_jump=through_host,
                labels=labels or None,
            ),
        )
    )


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _key(name: str, directive: Directive | None, tokens: dict[str, str], home: Path, notes: list[str]) -> str | None:
    if directive is None or directive.value().lower() == "none":
        return None
    text = directive.value()
    if "${" in text or any(one[1] not in {"%", *tokens} for one in _TOKEN.finditer(text)):
        notes.append(f"{name!r}: its IdentityFile {text!r} was left out: it holds what only a connection knows.")
        return None
    # The order of OpenSSH: the home folder first, then the tokens.
    return _expanded(directive._replace(args=(_with_home(text, home),)), tokens)


def _expanded(directive: Directive, tokens: dict[str, str]) -> str:
    def one(found: re.Match[str]) -> str:
        if found[1] == "%":
            return "%"
        if found[1] not in tokens:
            raise directive.error(f"{directive.keyword!r} holds {found[0]!r}, which stands for nothing here")
        return tokens[found[1]]

    return _TOKEN.sub(one, directive.value())


def _with_home(text: str, home: Path) -> str:
    return str(home) + text[1:] if text == "~" or text.startswith("~/") else text
