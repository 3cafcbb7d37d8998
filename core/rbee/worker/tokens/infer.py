"""Requests of rbee's own route ``/v1/infer``."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from rbee.contract.errors import InvalidRequestError
from rbee.contract.wire import InferRequest
from rbee.worker.tokens.checking import checked
from rbee.worker.tokens.messages import conversation
from rbee.worker.tokens.requests import Ask, MaxTokens, Seed, StopList, TopK, TopP


class _Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of an `InferRequest` with the bounds that its docstring states."""

    max_tokens: MaxTokens | None = None
    temperature: Annotated[float, Meta(ge=0, le=5)] | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None
    seed: Seed | None = None
    stop: StopList | None = None


def ask_of(request: InferRequest, *, chat: bool) -> Ask:
    """The request as the scheduler takes it.

    Args:
        request: as parsed, its bounds not checked yet.
        chat: the model converses; a prompt becomes a user message unless `raw`.

    Raises:
        InvalidRequestError: both or neither of prompt and messages, out of bounds, or messages for a
            model that does not converse.
    """
    bounds = checked({name: getattr(request, name) for name in _Bounds.__struct_fields__}, _Bounds)
    if (request.prompt is None) == (request.messages is None):
        raise InvalidRequestError("Send exactly one of 'prompt' and 'messages'.", param="prompt")
    messages = None
    if request.messages is not None:
        if request.raw:
            raise InvalidRequestError("'raw' goes with 'prompt', not with 'messages'.", param="raw")
        if not chat:
            raise InvalidRequestError("The model does not converse; send 'prompt' instead.", param="messages")
        messages = conversation(request.messages)
    elif chat and not request.raw:
        messages = ({"role": "user", "content": request.prompt},)
    return Ask(
        model=request.model,
        messages=messages,
        prompt=None if messages is not None else request.prompt,
        max_tokens=bounds.max_tokens,
        temperature=1.0 if bounds.temperature is None else bounds.temperature,
        top_p=1.0 if bounds.top_p is None else bounds.top_p,
        top_k=bounds.top_k or 0,
        seed=bounds.seed,
        stop=tuple(bounds.stop or ()),
        stream=request.stream,
    )
