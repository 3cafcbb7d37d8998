"""From the body of a job to its request, with errors that name the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from rbee.contract.errors import InvalidRequestError
from rbee.contract.patterns import in_words

T = TypeVar("T", bound=msgspec.Struct)

_AT = re.compile(r" - at `\$\.(\w+)[^`]*`$")
_MISSING = re.compile(r"missing required field `(\w+)`")
_SHOWN = 100

_OF_ONE_WORKER = frozenset({"worker_process_get", "worker_process_delete"})
"""Operations that name a worker, by one of two words."""


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


def check_of(operation: str) -> Callable[[Mapping[str, Any]], object]:
    """What the body of a hive's operation must satisfy besides its type, at queen and hive alike."""
    return worker_named if operation in _OF_ONE_WORKER else dict


def worker_named(body: Mapping[str, Any]) -> str:
    """Id of the worker in the body of an operation on one worker.

    Raises:
        InvalidRequestError: there is none.
    """
    worker_id = body.get("worker_id") or body.get("id")
    if not isinstance(worker_id, str):
        raise InvalidRequestError(f"Operation {body.get('operation')!r}: 'worker_id' is missing.", param="worker_id")
    return worker_id


def _told(operation: object, problem: str) -> InvalidRequestError:
    if missing := _MISSING.search(problem):
        return InvalidRequestError(f"Operation {operation!r}: {missing[1]!r} is missing.", param=missing[1])
    if found := _AT.search(problem):
        return InvalidRequestError(
            f"Operation {operation!r}, field {found[1]!r}: {in_words(problem[: found.start()])}.", param=found[1]
        )
    return InvalidRequestError(f"Operation {operation!r}: {problem}.")
