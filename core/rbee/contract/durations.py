"""Spans of time as people write them."""

from __future__ import annotations

import math
import re
from types import MappingProxyType

FOR_EVER = -1.0
"""How long a model is kept that is never unloaded for being idle."""

_NUMBER = r"[0-9]+\.?[0-9]*|\.[0-9]+"
_PART = re.compile(rf"({_NUMBER})(ns|us|µs|μs|ms|s|m|h|d)")  # both letters are in use
_SECONDS = MappingProxyType(
    {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
)
_LONGEST_S = 10 * 365 * 86_400.0


def keep_alive_s(value: str | float) -> float:
    """How long a model is kept loaded, in seconds: a number of seconds, or ``90s``, ``5m``, ``1h30m``, ``2d``.

    Anything negative is `FOR_EVER`, and so is anything beyond ten years.  The form is that of Ollama's ``keep_alive``.

    Raises:
        ValueError: it is no span of time; the message says what is.
    """
    seconds = value if isinstance(value, int | float) else _parsed(value.strip().lower())
    if math.isnan(seconds):
        raise ValueError(_told(value))
    return FOR_EVER if seconds < 0 or seconds > _LONGEST_S else float(seconds)


def _parsed(text: str) -> float:
    sign, digits = (-1.0 if text.startswith("-") else 1.0, text[1:] if text[:1] in {"-", "+"} else text)
    try:
        return sign * float(digits) if re.fullmatch(_NUMBER, digits) else sign * _summed(digits)
    except ValueError:
        raise ValueError(_told(text)) from None


def _summed(text: str) -> float:
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(text)
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _told(value: object) -> str:
    known = "seconds, or '90s', '5m', '1h30m', '2d', '-1' for ever, '0' for not at all"
    return f"{value!r} is no span of time; write {known}."
