"""Requests of Anthropic's Messages API.

Format: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from rbee.doors.parsing import (
    MOST_MESSAGES,
    MOST_TOOLS,
    MaxTokens,
    Name,
    Schema,
    Stops,
    Temperature,
    ToolName,
    TopK,
    TopP,
)


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it does not name is refused."""


class CacheControl(_Strict, frozen=True):
    """A hint for a cache of prompts; changes nothing of the answer, and engines keep their own."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class Text(_Strict, frozen=True, tag="text"):
    """Text.  `citations` may be there as an earlier answer had it: null or empty."""

    text: str
    cache_control: CacheControl | None = None
    citations: Annotated[list[Any], Meta(max_length=0)] | None = None


class Base64Source(_Strict, frozen=True, tag="base64"):
    """An image in the request itself."""

    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


class UrlSource(_Strict, frozen=True, tag="url"):
    """An image elsewhere, which the engine fetches if it does so at all."""

    url: str


class Image(_Strict, frozen=True, tag="image"):
    """An image."""

    source: Base64Source | UrlSource
    cache_control: CacheControl | None = None


class ToolUse(_Strict, frozen=True, tag="tool_use"):
    """The model called a tool."""

    id: Name
    name: ToolName
    input: dict[str, Any]
    cache_control: CacheControl | None = None
    caller: None = None
    toolset_name: None = None


class ToolResult(_Strict, frozen=True, tag="tool_result"):
    """What a tool gave."""

    tool_use_id: Name
    content: str | list[Text | Image] = ""
    is_error: bool | None = None
    cache_control: CacheControl | None = None
    toolset_name: None = None


class Thinking(_Strict, frozen=True, tag="thinking"):
    """What the model thought, as an earlier answer had it."""

    thinking: str
    signature: str | None = None


class User(_Strict, frozen=True, tag_field="role", tag="user"):
    """What the user says, and what tools gave."""

    content: str | list[Text | Image | ToolResult]


class Assistant(_Strict, frozen=True, tag_field="role", tag="assistant"):
    """What the model said."""

    content: str | list[Text | ToolUse | Thinking]


class Tool(_Strict, frozen=True):
    """A tool of the client's."""

    name: ToolName
    input_schema: Schema
    description: str | None = None
    type: Literal["custom"] | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None
    eager_input_streaming: bool | None = None


class AnyTool(_Strict, frozen=True):
    """Which tools the model may call; the name is given with `tool`."""

    type: Literal["auto", "any", "tool", "none"]
    name: ToolName | None = None
    disable_parallel_tool_use: bool | None = None


class Metadata(_Strict, frozen=True):
    """Who asks."""

    user_id: Annotated[str, Meta(max_length=512)] | None = None


class ThinkingOption(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the model thinks."""

    type: str


class JsonFormat(_Strict, frozen=True):
    """Answers in JSON."""

    type: Literal["json_schema"]
    schema: Schema


class OutputConfig(_Strict, frozen=True):
    """The form of the answer."""

    format: JsonFormat | None = None


class MessagesRequest(_Strict, frozen=True):
    """Body of ``POST /v1/messages``."""

    model: Name
    max_tokens: MaxTokens
    messages: Annotated[list[User | Assistant], Meta(min_length=1, max_length=MOST_MESSAGES)]
    system: str | list[Text] | None = None
    tools: Annotated[list[Tool], Meta(max_length=MOST_TOOLS)] = []
    tool_choice: AnyTool | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None
    stop_sequences: Stops = []
    stream: bool = False
    metadata: Metadata | None = None
    thinking: ThinkingOption | None = None
    output_config: OutputConfig | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    cache_control: CacheControl | None = None
