"""From a request of the Responses API to one of a chat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rbee.doors.images import image_part
from rbee.doors.parsing import converted, refuse
from rbee.doors.responses.requests import (
    FunctionCall,
    FunctionCallOutput,
    InputImage,
    InputText,
    Item,
    JsonFormat,
    Message,
    OutputRefusal,
    OutputText,
    Reasoning,
    ResponsesRequest,
    SchemaFormat,
    Tool,
    ToolChoice,
)

Body = dict[str, Any]


def chat_of(request: ResponsesRequest) -> Body:
    """The body of ``POST /v1/chat/completions`` for a request.

    Raises:
        InvalidRequestError: it holds what that route has no word for, or asks for something to be kept; `param` says
            what.
    """
    _check_stateless(request)
    messages: list[Body] = []
    if request.instructions:
        messages.append({"role": "system", "content": request.instructions})
    if isinstance(request.input, str):
        messages.append({"role": "user", "content": request.input})
    else:
        messages += _messages([_item(raw, place) for place, raw in enumerate(request.input)])
    body: Body = {"model": request.model, "messages": messages}
    optional = {
        "max_tokens": request.max_output_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "user": request.user,
        "response_format": _format(request),
    }
    body.update({name: value for name, value in optional.items() if value is not None})
    body.update(_tools(request))
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return body


def _check_stateless(request: ResponsesRequest) -> None:
    for name, asked, why in (
        ("store", request.store, "answers are not kept; send 'store': false"),
        ("previous_response_id", request.previous_response_id, "answers are not kept; send the whole input"),
        ("conversation", request.conversation, "conversations are not kept; send the whole input"),
        ("background", request.background, "answers are not kept; wait for this one"),
        ("prompt", request.prompt, "prompts are not kept; send the whole input"),
    ):
        if asked is not None and asked is not False:
            raise refuse(name, why)


def _item(raw: Body, place: int) -> Item:
    kind = {} if "type" in raw else {"type": "message"}
    present = {name: value for name, value in raw.items() if value is not None}
    # mypy knows no type of a union.
    return converted({**kind, **present}, Item, f"input[{place}]")  # type: ignore[arg-type]


def _messages(items: Sequence[Item]) -> list[Body]:
    """Messages: what the model thought, said and called in one turn are items apart here, and one message there."""
    told: list[Body] = []
    turn: Body | None = None
    for item in items:
        if isinstance(item, FunctionCallOutput):
            turn = None
            told.append({"role": "tool", "tool_call_id": item.call_id, "content": _content(item.output)})
            continue
        if isinstance(item, Message) and item.role != "assistant":
            turn = None
            told.append({"role": item.role, "content": _content(item.content)})
            continue
        if isinstance(item, Reasoning) and not item.content:
            continue
        if turn is None or (isinstance(item, Message) and turn["content"] is not None):
            turn = {"role": "assistant", "content": None}
            told.append(turn)
        _into(turn, item)
    for message in told:
        if message["content"] is None and "tool_calls" not in message:
            message["content"] = ""
    return told


def _into(turn: Body, item: Message | FunctionCall | Reasoning) -> None:
    if isinstance(item, Message):
        turn["content"] = _content(item.content)
    elif isinstance(item, FunctionCall):
        function = {"name": item.name, "arguments": item.arguments}
        turn.setdefault("tool_calls", []).append({"id": item.call_id, "type": "function", "function": function})
    else:
        text = "".join(part.text for part in item.content or ())
        turn["reasoning_content"] = turn.get("reasoning_content", "") + text


def _content(parts: str | Sequence[InputText | InputImage | OutputText | OutputRefusal]) -> Any:
    """One text as such; anything else as parts, which the engine joins as its model wants it."""
    if isinstance(parts, str):
        return parts
    told = [_part(part) for part in parts]
    if not told:
        return ""
    return told[0]["text"] if len(told) == 1 and told[0]["type"] == "text" else told


def _part(part: InputText | InputImage | OutputText | OutputRefusal) -> dict[str, Any]:
    if isinstance(part, InputImage):
        told = image_part(part.image_url)
        return told if part.detail == "auto" else {**told, "image_url": {"url": part.image_url, "detail": part.detail}}
    return {"type": "text", "text": part.refusal if isinstance(part, OutputRefusal) else part.text}


def _format(request: ResponsesRequest) -> Body | None:
    wanted = None if request.text is None else request.text.format
    if isinstance(wanted, JsonFormat):
        return {"type": "json_object"}
    if not isinstance(wanted, SchemaFormat):
        return None
    schema: Body = {"name": wanted.name, "schema": wanted.schema}
    if wanted.description is not None:
        schema["description"] = wanted.description
    if wanted.strict is not None:
        schema["strict"] = wanted.strict
    return {"type": "json_schema", "json_schema": schema}


def _tools(request: ResponsesRequest) -> Body:
    body: Body = {}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        # The Responses API has several calls at once unless told otherwise; engines of chats differ in that.
        body["parallel_tool_calls"] = request.parallel_tool_calls is not False
    choice = request.tool_choice
    if choice is not None and (request.tools or choice != "auto"):
        body["tool_choice"] = (
            {"type": "function", "function": {"name": choice.name}} if isinstance(choice, ToolChoice) else choice
        )
    return body


def _tool(tool: Tool) -> Body:
    function: Body = {"name": tool.name}
    for name in ("description", "parameters", "strict"):
        if (value := getattr(tool, name)) is not None:
            function[name] = value
    return {"type": "function", "function": function}
