"""Requests of OpenAI's API, parsed and bounded."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from rbee.contract.engine import TokenRequest
from rbee.contract.errors import InvalidRequestError
from rbee.worker.tokens.checking import checked, json_object
from rbee.worker.tokens.messages import conversation
from rbee.worker.tokens.refusals import refuse_unsupported

MaxTokens = Annotated[int, Meta(ge=1, le=1_000_000)]
TopP = Annotated[float, Meta(gt=0, le=1)]
TopK = Annotated[int, Meta(ge=0, le=100_000)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
StopString = Annotated[str, Meta(min_length=1, max_length=256)]
StopList = Annotated[list[StopString], Meta(max_length=4)]

DEFAULT_COMPLETION_TOKENS = 16
"""What OpenAI's completions route generates when `max_tokens` is absent."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A valid request, whichever route it came by.

    Attributes:
        model: name that the answer carries; None for the loaded model's.
        messages: the conversation, or None.
        prompt: the text to continue, or None.
        max_tokens: None means up to the context.
        temperature: 0 is greedy.
        top_p: nucleus; 1 is off.
        top_k: 0 is off.
        seed: None for a random one.
        stop: stop strings.
        stream: answer in pieces.
        include_usage: end the stream with the figures of usage.
        continues: go on with the last message, which is the assistant's.
    """

    model: str | None = None
    messages: tuple[dict[str, Any], ...] | None = None
    prompt: str | None = None
    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stream: bool = False
    include_usage: bool = False
    continues: bool = False

    def token_request(self, request_id: str) -> TokenRequest:
        """The part of it that concerns the engine."""
        return TokenRequest(
            request_id=request_id,
            messages=self.messages,
            prompt=self.prompt,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            seed=self.seed,
            continues=self.continues,
        )


class StreamOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of a streamed answer; `include_obfuscation` changes nothing that is said."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    """What the two routes share."""

    model: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    max_tokens: MaxTokens | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None
    seed: Seed | None = None
    stop: StopString | StopList | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None


B = TypeVar("B", bound="_Body")


class ChatBody(_Body, frozen=True, kw_only=True):
    """Body of ``POST /v1/chat/completions``."""

    messages: list[dict[str, Any]]
    max_completion_tokens: MaxTokens | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None


class CompletionBody(_Body, frozen=True, kw_only=True):
    """Body of ``POST /v1/completions``; one prompt a request."""

    prompt: str | Annotated[list[str], Meta(min_length=1, max_length=1)]


def parse_chat(body: bytes) -> Ask:
    """The request in the body of ``POST /v1/chat/completions``.

    Raises:
        InvalidRequestError: malformed, out of bounds or not supported; `param` names the field.
    """
    chat = _parse(body, ChatBody)
    limits = {limit for limit in (chat.max_tokens, chat.max_completion_tokens) if limit is not None}
    if len(limits) > 1:
        raise InvalidRequestError(
            "'max_tokens' and 'max_completion_tokens' differ; send one of them.",
            param="max_tokens",
        )
    messages = conversation(chat.messages)
    return _ask(
        chat,
        messages=messages,
        max_tokens=limits.pop() if limits else None,
        continues=_continues(chat, messages[-1]["role"]),
    )


def parse_completion(body: bytes) -> Ask:
    """The request in the body of ``POST /v1/completions``.

    Raises:
        InvalidRequestError: malformed, out of bounds or not supported; `param` names the field.
    """
    completion = _parse(body, CompletionBody)
    prompt = completion.prompt if isinstance(completion.prompt, str) else completion.prompt[0]
    return _ask(completion, prompt=prompt, max_tokens=completion.max_tokens or DEFAULT_COMPLETION_TOKENS)


def _continues(chat: ChatBody, last_role: str) -> bool:
    """Whether the answer goes on with the last message, in vLLM's words for it."""
    if not chat.continue_final_message:
        if chat.add_generation_prompt is False:
            raise InvalidRequestError(
                "'add_generation_prompt' may be false only beside 'continue_final_message': true.",
                param="add_generation_prompt",
            )
        return False
    if chat.add_generation_prompt:
        raise InvalidRequestError(
            "'continue_final_message' and 'add_generation_prompt' exclude each other.", param="add_generation_prompt"
        )
    if last_role != "assistant":
        raise InvalidRequestError(
            "'continue_final_message' needs a last message of the assistant's to go on with.",
            param="continue_final_message",
        )
    return True


def _parse(body: bytes, kind: type[B]) -> B:
    raw = json_object(body)
    supported = frozenset(kind.__struct_fields__)
    refuse_unsupported(raw, supported)
    return checked({name: raw[name] for name in raw if name in supported}, kind)


def _ask(
    body: _Body,
    *,
    max_tokens: int | None,
    messages: tuple[dict[str, Any], ...] | None = None,
    prompt: str | None = None,
    continues: bool = False,
) -> Ask:
    stream = bool(body.stream)
    if body.stream_options is not None and not stream:
        raise InvalidRequestError("'stream_options' needs 'stream': true.", param="stream_options")
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    return Ask(
        model=body.model,
        messages=messages,
        prompt=prompt,
        max_tokens=max_tokens,
        temperature=1.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        top_k=body.top_k or 0,
        seed=body.seed,
        stop=stop,
        stream=stream,
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        continues=continues,
    )
