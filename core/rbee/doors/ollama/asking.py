"""From Ollama's requests to OpenAI's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from rbee.contract.errors import InvalidRequestError
from rbee.doors.images import data_url, image_part
from rbee.doors.ollama.requests import (
    ChatRequest,
    EmbeddingsRequest,
    EmbedRequest,
    GenerateRequest,
    KeepAlive,
    Message,
    Options,
    ToolCall,
)
from rbee.doors.parsing import refuse

# Go's durations: https://pkg.go.dev/time#ParseDuration
_DURATION = re.compile(r"[-+]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)")
_CARRIED = (
    "temperature", "top_k", "top_p", "min_p", "typical_p", "repeat_last_n", "repeat_penalty", "presence_penalty",
    "frequency_penalty", "stop",
)  # fmt: skip

Body = dict[str, Any]


def chat_of(request: ChatRequest) -> Body:
    """The body of ``POST /v1/chat/completions`` for a chat.

    Raises:
        InvalidRequestError: it holds what that route has no word for; `param` says what.
    """
    _check(request)
    body: Body = {"model": request.model, "messages": list(_messages(request.messages))}
    if request.tools:
        body["tools"] = [{"type": "function", "function": tool.function} for tool in request.tools]
    return body | _answered(request)


def generate_of(request: GenerateRequest) -> tuple[str, Body]:
    """Path and body for a prompt: a chat of one message or, if it is raw, a completion.

    Raises:
        InvalidRequestError: as `chat_of`.
    """
    _check(request)
    refused = {
        "suffix": (request.suffix, "no engine fills a gap"),
        "template": (request.template, "the model's own template is used; send 'raw': true with a whole prompt"),
        "context": (request.context, "the tokens of earlier answers are not given; use /api/chat"),
    }
    if request.raw:
        whole = "a raw prompt is passed on as it is; leave it out or send 'raw': false"
        refused |= {name: (getattr(request, name), whole) for name in ("system", "images", "think", "logprobs")}
    for name, (value, why) in refused.items():
        if value:
            raise refuse(name, why)
    if request.raw:
        return "/v1/completions", {"model": request.model, "prompt": request.prompt} | _answered(request)
    messages = [Message(role="system", content=request.system)] if request.system else []
    messages.append(Message(role="user", content=request.prompt, images=request.images))
    return "/v1/chat/completions", {
        "model": request.model,
        "messages": list(_messages(messages, images_param="images")),
    } | _answered(request)


def load_of(model: str) -> Body:
    """A chat that makes the model be loaded: the shortest there is, a single token."""
    return {"model": model, "messages": [{"role": "user", "content": "."}], "max_tokens": 1}


def embeddings_of(request: EmbedRequest | EmbeddingsRequest) -> Body:
    """The body of ``POST /v1/embeddings``.

    Raises:
        InvalidRequestError: as `chat_of`.
    """
    check_keep_alive(request.keep_alive)
    for name in Options.__struct_fields__:
        if name != "num_ctx" and getattr(request.options, name) is not None:
            raise refuse(f"options.{name}", "it has no meaning for embeddings; leave it out")
    if isinstance(request, EmbeddingsRequest):
        return {"model": request.model, "input": request.prompt, "encoding_format": "float"}
    if request.truncate:
        raise refuse("truncate", "nothing is ever cut off; shorten the input or leave it out")
    body: Body = {"model": request.model, "input": request.input, "encoding_format": "float"}
    return body if request.dimensions is None else {**body, "dimensions": request.dimensions}


def check_keep_alive(value: KeepAlive | None) -> None:
    """Seconds, or a duration as Go writes them.

    Raises:
        InvalidRequestError: it is something else.
    """
    if isinstance(value, str) and not _DURATION.fullmatch(value):
        raise InvalidRequestError(
            f"The parameter 'keep_alive' must be a number of seconds or a duration as '5m', not {value!r}.",
            param="keep_alive",
        )


def _check(request: ChatRequest | GenerateRequest) -> None:
    check_keep_alive(request.keep_alive)
    if request.truncate:
        raise refuse("truncate", "nothing is ever cut off a prompt; shorten it or leave it out")
    if request.shift:
        raise refuse("shift", "the context is never shifted; shorten the prompt or leave it out")
    if isinstance(request.think, str):
        raise refuse("think", "how much a model thinks cannot be chosen; send true, false or nothing")


def _answered(request: ChatRequest | GenerateRequest) -> Body:
    body: Body = {}
    options = request.options
    for name in _CARRIED:
        if (value := getattr(options, name)) is not None:
            body[name] = value
    if options.seed is not None and options.seed >= 0:
        # A negative one asks for a random one, which is what happens without.
        body["seed"] = options.seed
    if options.num_predict == 0:
        raise refuse("options.num_predict", "an answer has at least one token; -1 is without a limit")
    if options.num_predict is not None and options.num_predict > 0:
        body["max_tokens"] = options.num_predict
    elif options.num_predict is not None and isinstance(request, GenerateRequest) and request.raw:
        # Chats have no limit where none is told; completions do at some engines, so that this has to be told.
        body["max_tokens"] = options.num_predict
    if request.format:
        body["response_format"] = _format(request.format)
    if isinstance(request.think, bool):
        body["chat_template_kwargs"] = {"enable_thinking": request.think}
    if request.logprobs:
        body["logprobs"] = True
    if request.top_logprobs is not None:
        body["top_logprobs"] = request.top_logprobs
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return body


def _format(wanted: Any) -> Body:
    if wanted == "json":
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": wanted, "strict": True}}


def _messages(messages: Sequence[Message], *, images_param: str | None = None) -> Iterator[Body]:
    """Messages with ids that join each tool's answer to its call, where Ollama has only names and order."""
    open_calls: list[tuple[str, str]] = []
    for place, message in enumerate(messages):
        where = f"messages[{place}]"
        told: Body = {"role": message.role, "content": message.content or ""}
        if message.images:
            param = images_param or f"{where}.images"
            told["content"] = [{"type": "text", "text": message.content}] if message.content else []
            told["content"] += [
                image_part(data_url(image, f"{param}[{number}]")) for number, image in enumerate(message.images)
            ]
        if message.thinking:
            told["reasoning_content"] = message.thinking
        if message.tool_calls:
            if message.role != "assistant":
                raise refuse(f"{where}.tool_calls", "only the assistant calls tools")
            open_calls = [
                (call.id or f"call_{place}_{number}", call.function.name)
                for number, call in enumerate(message.tool_calls)
            ]
            told["tool_calls"] = [
                _call(call, call_id) for call, (call_id, _) in zip(message.tool_calls, open_calls, strict=True)
            ]
        if message.role == "tool":
            told["tool_call_id"] = _answered_call(message, open_calls, where)
        yield told


def _call(call: ToolCall, call_id: str) -> Body:
    arguments = msgspec.json.encode(call.function.arguments).decode()
    return {"id": call_id, "type": "function", "function": {"name": call.function.name, "arguments": arguments}}


def _answered_call(message: Message, open_calls: list[tuple[str, str]], where: str) -> str:
    """The call that a tool's message answers: the one it names, else the first that is not answered."""
    name = message.tool_name or message.name
    for one in open_calls:
        if message.tool_call_id in {None, one[0]} and name in {None, one[1]}:
            open_calls.remove(one)
            return one[0]
    raise InvalidRequestError(
        f"The message {where!r} of a tool answers no call that stands before it; send the assistant's message "
        "with its 'tool_calls' too.",
        param=where,
    )
