"""Values of a request checked against a type, with errors that name the field."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from rbee.contract.errors import InvalidRequestError
from rbee.worker.tokens.bounds import told

T = TypeVar("T")

_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_FIELD = re.compile(r"field `(?P<field>[^`]+)`")


def checked(value: Any, kind: type[T], *, where: str = "") -> T:
    """`value` as `kind`.

    Args:
        value: decoded JSON.
        kind: a type that msgspec knows.
        where: path of the value within the request, for errors.

    Raises:
        InvalidRequestError: it does not fit; `param` is the path of the field.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        text = str(error)
        at = _PATH.search(text)
        steps = [where] if where else []
        if at and at["path"]:
            steps.append(at["path"])
            text = text[: at.start()]
        if named := _FIELD.search(text):  # a missing or unknown field is named in the text, not in the path
            steps.append(named["field"])
        param = ".".join(steps).replace(".[", "[") or None
        # What follows says either bound and in the words of a program; most who read it are persons.
        bounds = told(kind, param, value) if param and not where and isinstance(value, dict) else None
        if bounds is not None:
            raise InvalidRequestError(f"The parameter {param!r} {bounds}.", param=param) from None
        subject = f"The parameter {param!r}" if param else "The request"
        raise InvalidRequestError(f"{subject} is not valid: {text}.", param=param) from None


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
        InvalidRequestError: it is not JSON, or not an object.
    """
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestError(f"The body is not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidRequestError("The body must be a JSON object.")
    return value
