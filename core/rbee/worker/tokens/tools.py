"""Tools in requests: what the model may call, and what it must."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from rbee.contract.errors import InvalidRequestError

MAX_TOOLS = 512


class Function(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What can be called; `parameters` is a JSON schema of an object."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:/-]{1,128}\Z")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """One tool."""

    function: Function
    type: Literal["function"] = "function"


class NamedFunction(msgspec.Struct, frozen=True, kw_only=True):
    """The tool that is meant."""

    name: str


class NamedTool(msgspec.Struct, frozen=True, kw_only=True):
    """Which tool must be called."""

    function: NamedFunction
    type: Literal["function"] = "function"


ToolChoice = Literal["none", "auto", "required"] | NamedTool
Tools = Annotated[list[Tool], Meta(max_length=MAX_TOOLS)]


class Calling(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says of tools.

    Attributes:
        tools: that the model may call, in OpenAI's shape.
        must: of these, those of which it must call one; empty where it need not call any.
        single: at most one call an answer.
    """

    tools: tuple[dict[str, Any], ...] = ()
    must: tuple[dict[str, Any], ...] = ()
    single: bool = False


def calling(tools: Sequence[Tool] | None, choice: ToolChoice | None, parallel: bool | None) -> Calling:
    """What a request says of tools.

    Raises:
        InvalidRequestError: two have one name, or the choice is none of them.
    """
    told = tuple(msgspec.to_builtins(tool) | {"type": "function"} for tool in tools or ())
    names = [tool["function"]["name"] for tool in told]
    if len(set(names)) < len(names):
        again = next(name for name in names if names.count(name) > 1)
        raise InvalidRequestError(f"Two tools have the name {again!r}.", param="tools")
    if not told:
        if choice not in {None, "none", "auto"}:
            raise InvalidRequestError("'tool_choice' needs 'tools' to choose from.", param="tool_choice")
        return Calling()
    if choice == "none":
        return Calling()
    must: tuple[dict[str, Any], ...] = ()
    if choice == "required":
        must = told
    elif isinstance(choice, NamedTool):
        must = tuple(tool for tool in told if tool["function"]["name"] == choice.function.name)
        if not must:
            raise InvalidRequestError(
                f"'tool_choice' names {choice.function.name!r}, which is none of the tools: {', '.join(names)}.",
                param="tool_choice",
            )
    # A tool that is named is called once, as OpenAI does.
    return Calling(tools=told, must=must, single=parallel is False or isinstance(choice, NamedTool))
