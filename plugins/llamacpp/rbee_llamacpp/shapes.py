"""What the server would overlook where a request is not as it should be, refused or put into words that it knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rbee.contract.errors import InvalidRequestError


def reshaped(body: Mapping[str, Any]) -> dict[str, Any]:
    """Fields to be sent in place of the request's; none for one that is well as it is.

    As seen with 2026.10 the server answers without a word to an empty conversation, to stop strings, schemas and
    grammars of another kind than it reads, and to a tool chosen by name.

    Args:
        body: of a request for an answer.

    Raises:
        InvalidRequestError: something would be overlooked; `param` names it.
    """
    if body.get("messages") == []:
        raise InvalidRequestError("The conversation is empty; send at least one message.", param="messages")
    _check_stop(body.get("stop"))
    if not isinstance(body.get("grammar"), str | None):
        raise InvalidRequestError("'grammar' takes a grammar, as a text.", param="grammar")
    if not isinstance(body.get("json_schema"), dict | None):
        raise InvalidRequestError("'json_schema' takes a JSON schema.", param="json_schema")
    _check_format(body.get("response_format"))
    top = body.get("top_logprobs")
    if isinstance(top, int) and top < 0:
        raise InvalidRequestError("'top_logprobs' must not be below 0.", param="top_logprobs")
    return _one_tool(body.get("tool_choice"), body.get("tools"))


def _check_stop(stop: Any) -> None:
    words = [stop] if isinstance(stop, str) else stop
    if words is None or (isinstance(words, list) and all(isinstance(word, str) and word for word in words)):
        return
    raise InvalidRequestError("'stop' takes a text or a list of texts, none of them empty.", param="stop")


def _check_format(form: Any) -> None:
    if form is None:
        return
    if not isinstance(form, dict) or not isinstance(form.get("type"), str):
        raise InvalidRequestError("'response_format' takes an object with a 'type'.", param="response_format")
    within = form.get("json_schema")
    # The server's own spelling has the schema beside the type.
    schema = form.get("schema") or (within.get("schema") if isinstance(within, dict) else None)
    if form["type"] == "json_schema" and not isinstance(schema, dict):
        raise InvalidRequestError(
            "'response_format' of type 'json_schema' needs 'json_schema' with a 'schema'.",
            param="response_format.json_schema",
        )


def _one_tool(choice: Any, tools: Any) -> dict[str, Any]:
    """A tool chosen by name is the only one there is, and required: the server knows no names."""
    if choice in (None, "none", "auto"):
        return {}
    if not tools:
        raise InvalidRequestError("'tool_choice' needs 'tools' to choose from.", param="tool_choice")
    if isinstance(choice, str):
        return {}
    name = _name(choice)
    if name is None:
        raise InvalidRequestError(
            "'tool_choice' takes 'none', 'auto', 'required' or {'type': 'function', 'function': {'name': ...}}.",
            param="tool_choice",
        )
    there = tools if isinstance(tools, list) else []
    found = [tool for tool in there if _name(tool) == name]
    if not found:
        names = ", ".join(str(_name(tool)) for tool in there)
        raise InvalidRequestError(
            f"'tool_choice' names {name!r}, which is none of the tools: {names}.", param="tool_choice"
        )
    return {"tools": found[:1], "tool_choice": "required"}


def _name(tool: Any) -> str | None:
    function = tool.get("function") if isinstance(tool, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None
