"""Requests of OpenAI's Responses API.

Format: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from rbee.doors.parsing import MOST_MESSAGES, MOST_TOOLS, MaxTokens, Name, Schema, Temperature, ToolName, TopP

Status = Literal["in_progress", "completed", "incomplete"]
Empty = Annotated[list[Any], Meta(max_length=0)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it does not name is refused."""


class InputText(_Strict, frozen=True, tag="input_text"):
    """Text for the model."""

    text: str


class InputImage(_Strict, frozen=True, tag="input_image"):
    """An image for the model, as an address, which may hold the image itself."""

    image_url: str
    detail: Literal["low", "high", "auto", "original"] = "auto"
    file_id: None = None


class OutputText(_Strict, frozen=True, tag="output_text"):
    """Text of the model's, as an earlier answer had it."""

    text: str
    annotations: Empty | None = None
    logprobs: list[Any] | None = None


class OutputRefusal(_Strict, frozen=True, tag="refusal"):
    """The model refused, in an earlier answer."""

    refusal: str


class ReasoningText(_Strict, frozen=True, tag="reasoning_text"):
    """A thought."""

    text: str


class Message(_Strict, frozen=True, tag="message"):
    """One message; its type may be left out."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[InputText | InputImage | OutputText | OutputRefusal]
    id: str | None = None
    status: Status | None = None
    phase: None = None


class FunctionCall(_Strict, frozen=True, tag="function_call"):
    """The model called a function."""

    call_id: Name
    name: ToolName
    arguments: str
    id: str | None = None
    status: Status | None = None
    parsed_arguments: Any = None
    namespace: None = None
    caller: None = None


class FunctionCallOutput(_Strict, frozen=True, tag="function_call_output"):
    """What a function gave."""

    call_id: Name
    output: str | list[InputText | InputImage]
    id: str | None = None
    status: Status | None = None


class Reasoning(_Strict, frozen=True, tag="reasoning"):
    """What the model thought, as an earlier answer had it."""

    id: str | None = None
    summary: Empty = []
    content: list[ReasoningText] | None = None
    encrypted_content: None = None
    status: Status | None = None


Item = Message | FunctionCall | FunctionCallOutput | Reasoning


class Tool(_Strict, frozen=True):
    """A function of the client's; the provider's own tools are not here."""

    type: Literal["function"]
    name: ToolName
    parameters: Schema | None = None
    description: str | None = None
    strict: bool | None = None


class ToolChoice(_Strict, frozen=True):
    """The function that has to be called."""

    type: Literal["function"]
    name: ToolName


class TextFormat(_Strict, frozen=True, tag="text"):
    """Any text."""


class JsonFormat(_Strict, frozen=True, tag="json_object"):
    """Any JSON object."""


class SchemaFormat(_Strict, frozen=True, tag="json_schema"):
    """JSON of a schema."""

    name: ToolName
    schema: Schema
    description: str | None = None
    strict: bool | None = None


class TextOptions(_Strict, frozen=True):
    """The form of the answer's text."""

    format: TextFormat | JsonFormat | SchemaFormat | None = None
    verbosity: Literal["medium"] | None = None


class StreamOptions(_Strict, frozen=True):
    """Of a stream; obfuscation changes nothing that is said."""

    include_obfuscation: bool | None = None


class ResponsesRequest(_Strict, frozen=True):
    """Body of ``POST /v1/responses``."""

    model: Name
    input: str | Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=MOST_MESSAGES)]
    instructions: str | None = None
    tools: Annotated[list[Tool], Meta(max_length=MOST_TOOLS)] = []
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: MaxTokens | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    text: TextOptions | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    store: bool | None = None
    previous_response_id: Any = None
    conversation: Any = None
    background: bool | None = None
    prompt: Any = None
    include: Empty = []
    reasoning: Annotated[dict[str, Any], Meta(max_length=0)] | None = None
    truncation: Literal["disabled"] | None = None
    metadata: Annotated[dict[str, str], Meta(max_length=16)] = {}
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    service_tier: Literal["auto", "default"] | None = None
