"""Requests of Ollama's API.

Format: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from rbee.doors.parsing import (
    MOST_MESSAGES,
    MOST_TOOLS,
    Name,
    Penalty,
    Schema,
    Seed,
    Stop,
    Stops,
    Temperature,
    ToolName,
    TopK,
    TopP,
)

Images = Annotated[list[str], Meta(max_length=1_000)]
KeepAlive = float | Annotated[str, Meta(max_length=64)]
Format = Literal["", "json"] | Schema
Effort = bool | Literal["low", "medium", "high", "max"]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it does not name is refused."""


class Options(_Strict, frozen=True):
    """How the model answers.  What only says how a model is loaded is not here, and so refused, but for `num_ctx`."""

    num_ctx: Annotated[int, Meta(ge=1, le=16_777_216)] | None = None
    num_predict: Annotated[int, Meta(ge=-1, le=1_000_000)] | None = None
    seed: Seed | None = None
    temperature: Temperature | None = None
    top_k: TopK | None = None
    top_p: TopP | None = None
    min_p: TopP | None = None
    typical_p: TopP | None = None
    repeat_last_n: Annotated[int, Meta(ge=-1, le=1_000_000)] | None = None
    repeat_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    stop: Stop | Stops | None = None


class Called(_Strict, frozen=True):
    """A tool as the model called it."""

    name: ToolName
    arguments: dict[str, Any] = {}
    index: int | None = None
    description: str | None = None


class ToolCall(_Strict, frozen=True):
    """A call of a tool."""

    function: Called
    id: Name | None = None
    type: Literal["function"] | None = None


class Message(_Strict, frozen=True):
    """One message of a chat."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    images: Images | None = None
    tool_calls: Annotated[list[ToolCall], Meta(max_length=MOST_TOOLS)] | None = None
    tool_name: ToolName | None = None
    name: ToolName | None = None
    tool_call_id: Name | None = None


class Tool(_Strict, frozen=True):
    """A tool of the client's, in OpenAI's form."""

    function: dict[str, Any]
    type: Literal["function"] = "function"


class _Asked(_Strict, frozen=True):
    """What all requests share."""

    model: Name
    options: Options = Options()
    keep_alive: KeepAlive | None = None


class _Answered(_Asked, frozen=True):
    """What requests for text share; pieces are what Ollama's clients get unless they ask otherwise."""

    stream: bool = True
    format: Format | None = None
    think: Effort | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    truncate: bool | None = None
    shift: bool | None = None


class ChatRequest(_Answered, frozen=True):
    """Body of ``POST /api/chat``."""

    messages: Annotated[list[Message], Meta(max_length=MOST_MESSAGES)] = []
    tools: Annotated[list[Tool], Meta(max_length=MOST_TOOLS)] = []


class GenerateRequest(_Answered, frozen=True):
    """Body of ``POST /api/generate``."""

    prompt: str = ""
    system: str = ""
    images: Images = []
    raw: bool = False
    suffix: str = ""
    template: str = ""
    context: list[int] = []


class EmbedRequest(_Asked, frozen=True, kw_only=True):
    """Body of ``POST /api/embed``."""

    input: str | Annotated[list[str], Meta(max_length=100_000)]
    truncate: bool | None = None
    dimensions: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


class EmbeddingsRequest(_Asked, frozen=True, kw_only=True):
    """Body of ``POST /api/embeddings``, the older one."""

    prompt: str


class ShowRequest(_Strict, frozen=True):
    """Body of ``POST /api/show``; `name` is an older word for `model`."""

    model: Name | None = None
    name: Name | None = None
    verbose: bool | None = None
