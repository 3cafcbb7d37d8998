"""What a parameter of a request may be, in words for whoever has sent another value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import inspect

_SHOWN = 40


def told(kind: object, param: str, given: Mapping[str, Any]) -> str | None:
    """``must be a number from 0 to 2, not -1``; None for what is no number of the request itself, or is within.

    Args:
        kind: of the request.
        param: name of the field.
        given: the request.
    """
    info = inspect.type_info(kind)
    if param not in given or not isinstance(info, inspect.StructType):
        return None
    kinds = [field.type for field in info.fields if field.encode_name == param]
    parts = [part for one in kinds for part in (one.types if isinstance(one, inspect.UnionType) else (one,))]
    number = next((part for part in parts if isinstance(part, inspect.IntType | inspect.FloatType)), None)
    if number is None or any(isinstance(part, inspect.StrType | inspect.ListType) for part in parts):
        return None
    what = "a whole number" if isinstance(number, inspect.IntType) else "a number"
    value = given[param]
    shown = repr(value)
    return f"must be {what}{_range(number)}, not {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '...'}"


def _range(number: inspect.IntType | inspect.FloatType) -> str:
    least, most = number.ge, number.le
    if number.gt is not None and most is not None:
        return f" above {number.gt:g} and at most {most:g}"
    if least is not None and most is not None:
        return f" from {_plain(least)} to {_plain(most)}"
    return ""


def _plain(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"
