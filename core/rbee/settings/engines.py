"""Options of engines among the settings: named in files by whoever writes them, checked when a worker is started."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from rbee.contract.engine_options import OptionValue
from rbee.contract.errors import ConfigurationError

GROUP = "engines"
DESCRIPTION = "An engine's option; `rbee worker list --json` tells what it is for, and its bounds."

_ENGINE = re.compile(r"[A-Za-z0-9](?:(?!__)[A-Za-z0-9_-]){0,126}")
_OPTION = re.compile(r"[a-z][a-z0-9_]{0,126}")
_LONGEST_TEXT = 4096
_VARIABLE = "RBEE_ENGINES_"


def is_option(name: str) -> bool:
    """Whether a dotted name means an engine's option: ``engines.NAME.OPTION``."""
    return name.partition(".")[0] == GROUP


def split(name: str, source: str) -> tuple[str, str]:
    """Engine and option of a dotted name.

    Raises:
        ConfigurationError: it is not of that form.
    """
    _, _, rest = name.partition(".")
    engine, dot, option = rest.partition(".")
    if not dot or not _ENGINE.fullmatch(engine) or not _OPTION.fullmatch(option):
        raise ConfigurationError(
            f"{source} sets {name!r}, which is no setting. An option of an engine is named {GROUP}.ENGINE.OPTION."
        )
    return engine, option


def option_value(name: str, value: Any, source: str) -> OptionValue:
    """A value that some option may take; whether this one does shows when a worker is started.

    Raises:
        ConfigurationError: no option takes such a value.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigurationError(f"{source} sets {name!r} to {value!r}; an option is a finite number.")
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        raise ConfigurationError(f"{source} sets {name!r} to a text of more than {_LONGEST_TEXT} characters.")
    if isinstance(value, bool | int | float | str):
        return value
    raise ConfigurationError(f"{source} sets {name!r} to {value!r}; an option is true, false, a number or a text.")


def variable(name: str) -> str:
    """Environment variable of an option: ``engines.mill.cache_mb`` is ``RBEE_ENGINES_MILL__CACHE_MB``."""
    _, engine, option = name.split(".", 2)
    return f"{_VARIABLE}{engine}__{option}".upper()


def in_environment(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Dotted names of options that are set in an environment, with the variable and its value."""
    found = {}
    for key, value in environ.items():
        engine, two, option = key.removeprefix(_VARIABLE).partition("__")
        if key.startswith(_VARIABLE) and two:
            found[f"{GROUP}.{engine.lower()}.{option.lower()}"] = (key, value)
    return found


def in_file(name: str, table: Any, source: str) -> dict[str, Any]:
    """Dotted names of the options in one table ``[engines.NAME]``.

    Raises:
        ConfigurationError: it is no table.
    """
    if not isinstance(table, dict):
        raise ConfigurationError(f"{source} sets {name!r} to {table!r}; options of an engine are a table, `[{name}]`.")
    return {f"{name}.{option}": value for option, value in table.items()}
