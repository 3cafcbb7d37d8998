"""Requests taken as typed values, so that a parameter that nobody would heed is refused by its name."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from rbee.contract.errors import InvalidRequestError

T = TypeVar("T")

Name = Annotated[str, Meta(min_length=1, max_length=4096)]
ToolName = Annotated[str, Meta(min_length=1, max_length=256)]
MaxTokens = Annotated[int, Meta(ge=1, le=1_000_000)]
Temperature = Annotated[float, Meta(ge=0, le=5)]
TopP = Annotated[float, Meta(ge=0, le=1)]
TopK = Annotated[int, Meta(ge=0, le=100_000)]
Penalty = Annotated[float, Meta(ge=-10, le=10)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Stop = Annotated[str, Meta(min_length=1, max_length=256)]
Stops = Annotated[list[Stop], Meta(max_length=64)]
Schema = dict[str, Any]

MOST_MESSAGES = 10_000
MOST_TOOLS = 1_000

_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `(?P<field>[^`]*)`")
_MISSING = re.compile(r"missing required field `(?P<field>[^`]*)`")


def parsed(body: bytes, kind: type[T]) -> T:
    """A request's body as its type; a parameter that is null counts as left out.

    Raises:
        InvalidRequestError: it is not JSON, or not as the type says; `param` and the message name the field.
    """
    try:
        raw = msgspec.json.decode(body)
    except RecursionError as error:
        raise InvalidRequestError("The body is nested too deeply.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"The body is not JSON: {error}.") from error
    if not isinstance(raw, dict):
        raise InvalidRequestError("The body must be a JSON object.", param="body")
    return converted({name: value for name, value in raw.items() if value is not None}, kind)


def converted(raw: Any, kind: type[T], where: str = "") -> T:
    """A decoded value as a type.

    Args:
        raw: of JSON.
        kind: what msgspec knows.
        where: path of the value within the request.

    Raises:
        InvalidRequestError: as `parsed`.
    """
    try:
        return msgspec.convert(raw, kind)
    except RecursionError as error:
        raise InvalidRequestError("The body is nested too deeply.") from error
    except msgspec.ValidationError as error:
        raise _invalid(str(error), where) from None


def _invalid(text: str, where: str) -> InvalidRequestError:
    steps = [where] if where else []
    if at := _PATH.search(text):
        text = text[: at.start()]
        if at["path"]:
            steps.append(at["path"])
    if unknown := _UNKNOWN.search(text):
        param = ".".join([*steps, unknown["field"]]).replace(".[", "[")
        return InvalidRequestError(f"The parameter {param!r} cannot be carried out here; leave it out.", param=param)
    if missing := _MISSING.search(text):
        param = ".".join([*steps, missing["field"]]).replace(".[", "[")
        return InvalidRequestError(f"The parameter {param!r} is missing.", param=param)
    param = ".".join(steps).replace(".[", "[")
    subject = f"The parameter {param!r}" if param else "The body"
    return InvalidRequestError(f"{subject} is not valid: {text}.", param=param or None)


def refuse(param: str, why: str) -> InvalidRequestError:
    """The error for a parameter that cannot be carried out.

    Args:
        param: its name.
        why: a clause that says why, and what to do.
    """
    return InvalidRequestError(f"The parameter {param!r} cannot be carried out here: {why}.", param=param)
