"""A call written as a JSON object, read while it is being written."""

from __future__ import annotations

from typing import Any

import msgspec

_ARGUMENTS = frozenset({"arguments", "parameters"})
_SPACE = frozenset(" \t\r\n")


class ObjectReader:
    """Reads one JSON object character by character.

    Attributes:
        raw: what has been read.
        done: the object is complete.
        name: of the tool, once it is known.
        arguments: what has come of the arguments' value; an object's text is exact from its first character on.
        lone: the object is the arguments themselves, the name is known from elsewhere.
    """

    def __init__(self, *, name: str | None = None) -> None:
        self.raw = ""
        self.done = False
        self.name = name
        self.arguments = ""
        self.lone = name is not None
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._token = ""
        """The text of the present key or value of the outermost object."""
        self._key: str | None = None

    @property
    def has_arguments(self) -> bool:
        """The value of the arguments has begun, and is an object."""
        return self.arguments.startswith("{")

    def feed(self, text: str) -> str:
        """Take text; returns what stands behind the object's end."""
        for at, character in enumerate(text):
            self.raw += character
            self._take(character)
            if self.done:
                return text[at + 1 :]
        return ""

    def value(self) -> tuple[str, str] | None:
        """Name and arguments of a complete object; None when it is no call."""
        try:
            found = msgspec.json.decode(self.raw)
        except (msgspec.DecodeError, RecursionError):
            return None
        if self.lone:
            return (self.name or "", self.raw)
        if not isinstance(found, dict) or not isinstance(found.get("name"), str) or not found["name"]:
            return None
        given: Any = next((found[key] for key in sorted(_ARGUMENTS) if key in found), {})
        if isinstance(given, str):  # some write the arguments as a text that is JSON
            try:
                given = msgspec.json.decode(given or "{}")
            except (msgspec.DecodeError, RecursionError):
                return None
        if given is None:
            given = {}
        if not isinstance(given, dict):
            return None
        return found["name"], self.arguments if self.has_arguments else msgspec.json.encode(given).decode()

    def _take(self, character: str) -> None:
        if self._in_string:
            self._within_string(character)
        elif character == '"':
            self._in_string = True
            self._note(character)
        elif character in "{[":
            self._depth += 1
            self._note(character, opening=self._depth == 1)
        elif character in "}]":
            self._depth -= 1
            if self._depth == 0:
                self._end_value()
                self.arguments = self.raw if self.lone else self.arguments
                self.done = True
            else:
                self._note(character)
        elif self._depth == 1 and character == ":" and self._key is None:
            self._key, self._token = _text(self._token), ""
        elif self._depth == 1 and character == ",":
            self._end_value()
        elif self._depth > 1 or character not in _SPACE:
            self._note(character)
        if self.lone and not self.done:
            self.arguments = self.raw

    def _within_string(self, character: str) -> None:
        self._note(character)
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._in_string = False
            if self._key == "name" and self._depth == 1 and self.name is None:
                self.name = _text(self._token)

    def _note(self, character: str, *, opening: bool = False) -> None:
        if opening:
            return
        self._token += character
        if self._key in _ARGUMENTS:
            self.arguments += character

    def _end_value(self) -> None:
        self._key, self._token = None, ""


def _text(token: str) -> str | None:
    try:
        value = msgspec.json.decode(token.strip())
    except (msgspec.DecodeError, RecursionError):
        return None
    return value if isinstance(value, str) else None
