"""Requests of rbee's own route ``/v1/infer``."""

from __future__ import annotations

from rbee.contract.errors import InvalidRequestError
from rbee.contract.token_engine import Sampling
from rbee.contract.wire import InferRequest
from rbee.worker.tokens.ask import Ask
from rbee.worker.tokens.messages import conversation


def ask_of(request: InferRequest, *, chat: bool) -> Ask:
    """The request as the scheduler takes it.

    Args:
        request: within its bounds, which the worker host has checked for engines of both kinds.
        chat: the model converses; a prompt becomes a user message unless `raw`.

    Raises:
        InvalidRequestError: `raw` messages, malformed ones, or messages for a model that does not converse.
    """
    messages = None
    if request.messages is not None:
        if request.raw:
            raise InvalidRequestError("'raw' goes with 'prompt', not with 'messages'.", param="raw")
        if not chat:
            raise InvalidRequestError("The model does not converse; send 'prompt' instead.", param="messages")
        messages = conversation(request.messages)
    elif chat and not request.raw:
        messages = ({"role": "user", "content": request.prompt},)
    sampling = Sampling(
        temperature=1.0 if request.temperature is None else request.temperature,
        top_p=1.0 if request.top_p is None else request.top_p,
        top_k=request.top_k or 0,
    )
    return Ask(
        model=request.model,
        messages=messages,
        prompts=() if messages is not None else (request.prompt or "",),
        max_tokens=request.max_tokens,
        sampling=sampling,
        wanted=frozenset({"top_k"}) if request.top_k else frozenset(),
        seed=request.seed,
        stop=tuple(request.stop or ()),
        stream=request.stream,
    )
