"""What may be set for the workers of one engine, besides what every engine has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from rbee.contract.errors import InvalidRequestError

OptionValue = bool | int | float | str
"""A value of an option, as JSON and TOML have it."""

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


class EngineOption(msgspec.Struct, frozen=True, kw_only=True):
    """One option of an engine.

    Attributes:
        name: a word in lower case, ``cache_mb``; a unit stands at its end.
        kind: ``int``, ``float``, ``bool`` or ``text``.
        help: one sentence.
        default: what holds where nothing is said; None when that is the engine's to find out.
        low: the least number allowed; None for no bound.
        high: the largest.
        choices: the texts allowed; empty for any.
    """

    name: str
    kind: Literal["int", "float", "bool", "text"]
    help: str
    default: OptionValue | None = None
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def checked(self, value: object) -> OptionValue:
        """`value` as this option takes it; texts from a command line are read as the option's kind.

        Raises:
            InvalidRequestError: it does not fit; the message says what does.
        """
        found = self._read(value)
        if found is None:
            raise InvalidRequestError(
                f"The option {self.name!r} takes {self._wanted()}, not {value!r}.", param=f"options.{self.name}"
            )
        return found

    def _read(self, value: object) -> OptionValue | None:
        if self.kind == "bool":
            return _as_bool(value)
        if self.kind == "text":
            return value if isinstance(value, str) and (not self.choices or value in self.choices) else None
        number = _as_number(value)
        if number is None or (self.low is not None and number < self.low):
            return None
        if self.high is not None and number > self.high:
            return None
        if self.kind == "float":
            return float(number)
        return int(number) if number == int(number) else None

    def _wanted(self) -> str:
        if self.kind == "bool":
            return "true or false"
        if self.kind == "text":
            return "one of " + ", ".join(map(repr, self.choices)) if self.choices else "a text"
        what = "a whole number" if self.kind == "int" else "a number"
        if self.low is not None and self.high is not None:
            return f"{what} from {self.low:.15g} to {self.high:.15g}"
        if self.low is not None:
            return f"{what} of at least {self.low:.15g}"
        return what if self.high is None else f"{what} of at most {self.high:.15g}"


def checked_options(engine: str, known: Sequence[EngineOption], given: Mapping[str, object]) -> dict[str, OptionValue]:
    """The options of a worker: those given, and the defaults of the others that have one.

    Args:
        engine: its name, for errors.
        known: the engine's options.
        given: names and values, as somebody has typed or sent them.

    Raises:
        InvalidRequestError: the engine has no such option, or a value does not fit.
    """
    options = {option.name: option for option in known}
    for name in given:
        if name not in options:
            has = "Its options: " + ", ".join(sorted(options)) if options else "It has none"
            raise InvalidRequestError(f"Engine {engine!r} has no option {name!r}. {has}.", param=f"options.{name}")
    chosen = {name: option.default for name, option in options.items() if option.default is not None}
    return chosen | {name: options[name].checked(value) for name, value in given.items()}


def _as_bool(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else None
    return True if word in _TRUE else False if word in _FALSE else None


def _as_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None  # not NaN either, which compares with nothing
