"""Requests of OpenAI's API, parsed and bounded."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from rbee.contract.errors import InvalidRequestError
from rbee.contract.token_engine import Sampling
from rbee.worker.tokens.ask import Ask
from rbee.worker.tokens.checking import checked, json_object
from rbee.worker.tokens.formats import PARAMETERS, structure_of
from rbee.worker.tokens.messages import conversation
from rbee.worker.tokens.refusals import refuse_unsupported
from rbee.worker.tokens.tools import ToolChoice, Tools, calling

MaxTokens = Annotated[int, Meta(ge=1, le=1_000_000)]
TopP = Annotated[float, Meta(gt=0, le=1)]
TopK = Annotated[int, Meta(ge=0, le=100_000)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Factor = Annotated[float, Meta(gt=0, le=2)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
StopString = Annotated[str, Meta(min_length=1, max_length=256)]
StopList = Annotated[list[StopString], Meta(max_length=16)]
TopLogprobs = Annotated[int, Meta(ge=0, le=20)]
Token = Annotated[int, Meta(ge=0, le=2**31)]
Tokens = Annotated[list[Token], Meta(min_length=1)]

MAX_ANSWERS = 64
"""Answers that one request may ask for, to all its prompts together."""

DEFAULT_COMPLETION_TOKENS = 16
"""What OpenAI's completions route generates when `max_tokens` is absent."""

_SAMPLING = frozenset(Sampling.__struct_fields__) - {"seed"}


class StreamOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of a streamed answer; `include_obfuscation` changes nothing that is said."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    """What the two routes share; the names of OpenAI's API, and vLLM's and llama-server's where that has none."""

    model: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    n: Annotated[int, Meta(ge=1, le=MAX_ANSWERS)] | None = None
    max_tokens: MaxTokens | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: Factor | None = None
    repeat_penalty: Factor | None = None
    logit_bias: Annotated[dict[str, Annotated[float, Meta(ge=-100, le=100)]], Meta(max_length=1024)] | None = None
    seed: Seed | None = None
    stop: StopString | StopList | None = None
    ignore_eos: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    return_progress: bool | None = None


B = TypeVar("B", bound="_Body")


class ChatBody(_Body, frozen=True, kw_only=True):
    """Body of ``POST /v1/chat/completions``."""

    messages: list[dict[str, Any]]
    max_completion_tokens: MaxTokens | None = None
    logprobs: bool | None = None
    top_logprobs: TopLogprobs | None = None
    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    chat_template_kwargs: Annotated[dict[str, Any], Meta(max_length=64)] | None = None


class CompletionBody(_Body, frozen=True, kw_only=True):
    """Body of ``POST /v1/completions``: one prompt or several, as texts or as tokens."""

    prompt: str | Annotated[list[str | Token | Tokens], Meta(min_length=1)]
    logprobs: TopLogprobs | None = None


def parse_chat(body: bytes) -> Ask:
    """The request in the body of ``POST /v1/chat/completions``.

    Raises:
        InvalidRequestError: malformed, out of bounds or not supported; `param` names the field.
    """
    chat, raw = _parse(body, ChatBody)
    limits = {limit for limit in (chat.max_tokens, chat.max_completion_tokens) if limit is not None}
    if len(limits) > 1:
        raise InvalidRequestError(
            "'max_tokens' and 'max_completion_tokens' differ; send one of them.",
            param="max_tokens",
        )
    if chat.top_logprobs and not chat.logprobs:
        raise InvalidRequestError("'top_logprobs' needs 'logprobs': true.", param="top_logprobs")
    messages = conversation(chat.messages)
    tools = calling(chat.tools, chat.tool_choice, chat.parallel_tool_calls)
    ask = _ask(chat, raw, limits.pop() if limits else None)
    if tools.must and ask.structure is not None:
        raise InvalidRequestError(
            f"{ask.structure.param!r} does not go with a 'tool_choice' that asks for a call.", param="tool_choice"
        )
    return msgspec.structs.replace(
        ask,
        messages=messages,
        calling=tools,
        top_logprobs=(chat.top_logprobs or 0) if chat.logprobs else None,
        variables=chat.chat_template_kwargs or {},
        continues=_continues(chat, messages[-1]["role"]),
    )


def parse_completion(body: bytes) -> Ask:
    """The request in the body of ``POST /v1/completions``.

    Raises:
        InvalidRequestError: malformed, out of bounds or not supported; `param` names the field.
    """
    completion, raw = _parse(body, CompletionBody)
    ask = _ask(completion, raw, completion.max_tokens or DEFAULT_COMPLETION_TOKENS)
    prompts = _prompts(completion.prompt)
    if len(prompts) * ask.n > MAX_ANSWERS:
        raise InvalidRequestError(
            f"{len(prompts)} prompts with {ask.n} answers each are more than {MAX_ANSWERS}; send fewer.", param="prompt"
        )
    return msgspec.structs.replace(ask, prompts=prompts, top_logprobs=completion.logprobs)


def _prompts(prompt: str | list[str | int | list[int]]) -> tuple[str | tuple[int, ...], ...]:
    if isinstance(prompt, str):
        return (prompt,)
    if all(isinstance(one, int) for one in prompt):
        return (tuple(one for one in prompt if isinstance(one, int)),)
    texts = [one if isinstance(one, str) else tuple(one) for one in prompt if not isinstance(one, int)]
    if len(texts) < len(prompt) or len({type(one) for one in texts}) > 1:
        raise InvalidRequestError(
            "'prompt' is a text, a list of texts, of tokens or of lists of tokens.", param="prompt"
        )
    return tuple(texts)


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


def _parse(body: bytes, kind: type[B]) -> tuple[B, dict[str, Any]]:
    raw = json_object(body)
    supported = frozenset(kind.__struct_fields__)
    refuse_unsupported(raw, supported | PARAMETERS)
    return checked({name: raw[name] for name in raw if name in supported}, kind), raw


def _ask(body: _Body, raw: dict[str, Any], max_tokens: int | None) -> Ask:
    stream = bool(body.stream)
    if body.stream_options is not None and not stream:
        raise InvalidRequestError("'stream_options' needs 'stream': true.", param="stream_options")
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    sampling = _sampling(body)
    neutral = Sampling()
    return Ask(
        model=body.model,
        n=body.n or 1,
        max_tokens=max_tokens,
        sampling=sampling,
        wanted=frozenset(name for name in _SAMPLING if getattr(sampling, name) != getattr(neutral, name)),
        seed=body.seed,
        stop=stop,
        ignore_ends=bool(body.ignore_eos),
        structure=structure_of(raw),
        stream=stream,
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        progress=stream and bool(body.return_progress),
    )


def _sampling(body: _Body) -> Sampling:
    bias: dict[int, float] = {}
    for key, value in (body.logit_bias or {}).items():
        if not key.isascii() or not key.isdecimal() or len(key) > 10:
            raise InvalidRequestError(f"'logit_bias' maps ids of tokens, not {key[:40]!r}.", param="logit_bias")
        bias[int(key)] = value
    factors = {one for one in (body.repetition_penalty, body.repeat_penalty) if one is not None}
    if len(factors) > 1:
        raise InvalidRequestError(
            "'repetition_penalty' and 'repeat_penalty' differ; send one of them.", param="repetition_penalty"
        )
    return Sampling(
        temperature=1.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        top_k=body.top_k or 0,
        min_p=body.min_p or 0.0,
        repetition_penalty=factors.pop() if factors else 1.0,
        presence_penalty=body.presence_penalty or 0.0,
        frequency_penalty=body.frequency_penalty or 0.0,
        logit_bias=bias,
    )
