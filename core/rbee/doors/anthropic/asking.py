"""From Anthropic's request to OpenAI's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from rbee.contract.errors import InvalidRequestError
from rbee.doors.anthropic.requests import (
    AnyTool,
    Assistant,
    Base64Source,
    Image,
    MessagesRequest,
    Text,
    Thinking,
    Tool,
    ToolResult,
    ToolUse,
)
from rbee.doors.images import image_part
from rbee.doors.parsing import refuse

Message = dict[str, Any]


def chat_of(request: MessagesRequest) -> dict[str, Any]:
    """The body of ``POST /v1/chat/completions`` for a request.

    Raises:
        InvalidRequestError: it holds what that route has no word for; `param` says what.
    """
    body: dict[str, Any] = {
        "model": request.model,
        "messages": list(_messages(request)),
        "max_tokens": request.max_tokens,
    }
    optional = {"temperature": request.temperature, "top_p": request.top_p, "top_k": request.top_k}
    body.update({name: value for name, value in optional.items() if value is not None})
    if request.stop_sequences:
        body["stop"] = request.stop_sequences
    if request.metadata is not None and request.metadata.user_id is not None:
        body["user"] = request.metadata.user_id
    if request.output_config is not None and request.output_config.format is not None:
        schema = {"name": "answer", "schema": request.output_config.format.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    body.update(_thinking(request))
    body.update(_tools(request))
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return body


def _thinking(request: MessagesRequest) -> dict[str, Any]:
    if request.thinking is None:
        return {}
    if request.thinking.type == "disabled":
        return {"chat_template_kwargs": {"enable_thinking": False}}
    raise refuse(
        "thinking", "engines have no budget for thoughts; leave it out, and a model that thinks does so by itself"
    )


def _tools(request: MessagesRequest) -> dict[str, Any]:
    if not request.tools:
        if request.tool_choice is not None and request.tool_choice.type not in {"auto", "none"}:
            raise InvalidRequestError("'tool_choice' needs 'tools'.", param="tool_choice")
        return {}
    body: dict[str, Any] = {"tools": [_tool(tool) for tool in request.tools]}
    choice = request.tool_choice
    # Anthropic's models may call several tools at once unless told otherwise; OpenAI's engines differ in that.
    body["parallel_tool_calls"] = not (choice is not None and choice.disable_parallel_tool_use)
    if choice is not None:
        body["tool_choice"] = _choice(choice)
    return body


def _choice(choice: AnyTool) -> Any:
    if choice.type != "tool":
        return "required" if choice.type == "any" else choice.type
    if choice.name is None:
        raise InvalidRequestError("The parameter 'tool_choice.name' is missing.", param="tool_choice.name")
    return {"type": "function", "function": {"name": choice.name}}


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.input_schema}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _messages(request: MessagesRequest) -> Iterator[Message]:
    if request.system:
        yield {"role": "system", "content": _content(request.system)}
    for message in request.messages:
        if isinstance(message.content, str):
            role = "assistant" if isinstance(message, Assistant) else "user"
            yield {"role": role, "content": message.content}
        elif isinstance(message, Assistant):
            yield _assistant(message.content)
        else:
            yield from _user(message.content)


def _user(blocks: Sequence[Text | Image | ToolResult]) -> Iterator[Message]:
    """One message of the user for each run of what he says, and one of the tool for each result, in order."""
    said: list[Text | Image] = []
    for block in blocks:
        if not isinstance(block, ToolResult):
            said.append(block)
            continue
        if said:
            yield {"role": "user", "content": _content(said)}
            said = []
        yield {"role": "tool", "tool_call_id": block.tool_use_id, "content": _result(block)}
    if said or not blocks:
        yield {"role": "user", "content": _content(said)}


def _result(block: ToolResult) -> Any:
    content = block.content if isinstance(block.content, str) else _content(block.content)
    if not block.is_error:
        return content
    # OpenAI's messages have no field for it: the model reads it.
    return f"Error: {content}" if isinstance(content, str) else [{"type": "text", "text": "Error:"}, *content]


def _assistant(blocks: Sequence[Text | ToolUse | Thinking]) -> Message:
    message: Message = {"role": "assistant", "content": None}
    if said := [block for block in blocks if isinstance(block, Text)]:
        message["content"] = _content(said)
    if thought := "".join(block.thinking for block in blocks if isinstance(block, Thinking)):
        message["reasoning_content"] = thought
    if calls := [_call(block) for block in blocks if isinstance(block, ToolUse)]:
        message["tool_calls"] = calls
    elif message["content"] is None:
        message["content"] = ""
    return message


def _call(block: ToolUse) -> dict[str, Any]:
    arguments = msgspec.json.encode(block.input).decode()
    return {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": arguments}}


def _content(blocks: str | Sequence[Text | Image]) -> Any:
    """One text as such; anything else as parts, which the engine joins as its model wants it."""
    if isinstance(blocks, str):
        return blocks
    if all(isinstance(block, Text) for block in blocks) and len(blocks) <= 1:
        return "".join(block.text for block in blocks if isinstance(block, Text))
    return [
        {"type": "text", "text": block.text} if isinstance(block, Text) else image_part(_url(block)) for block in blocks
    ]


def _url(image: Image) -> str:
    source = image.source
    if isinstance(source, Base64Source):
        return f"data:{source.media_type};base64,{source.data}"
    return source.url
