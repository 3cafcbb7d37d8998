"""From the body of a job to its request, with errors that name the field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from rbee.contract.errors import InvalidRequestError

T = TypeVar("T", bound=msgspec.Struct)

_AT = re.compile(r" - at `\$\.(\w+)[^`]*`$")
_MISSING = re.compile(r"missing required field `(\w+)`")
_SHOWN = 100


def parse(body: Mapping[str, Any], kind: type[T]) -> T:
    """The request in a body.

    Args:
        body: as it came in.
        kind: what it should be; every field of it may be given and no other, but for ``operation``.

    Raises:
        InvalidRequestError: an unknown, missing or wrong field, which it names.
    """
    operation = body.get("operation")
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    for name in body:
        if name not in known and name != "operation":
            fields = ", ".join(sorted(set(known) - {"operation"}))
            shown = str(name)[:_SHOWN]
            raise InvalidRequestError(
                f"Operation {operation!r} has no field {shown!r}. Fields: {fields or 'none'}.", param=shown
            )
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise _told(operation, str(error)) from error


def _told(operation: object, problem: str) -> InvalidRequestError:
    if missing := _MISSING.search(problem):
        return InvalidRequestError(f"Operation {operation!r}: {missing[1]!r} is missing.", param=missing[1])
    if found := _AT.search(problem):
        return InvalidRequestError(
            f"Operation {operation!r}, field {found[1]!r}: {problem[: found.start()]}.", param=found[1]
        )
    return InvalidRequestError(f"Operation {operation!r}: {problem}.")
