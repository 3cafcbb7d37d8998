"""A valid request, whichever route it came by."""

from __future__ import annotations

from typing import Any

import msgspec

from rbee.contract.token_engine import Sampling
from rbee.worker.tokens.formats import Structure
from rbee.worker.tokens.tools import Calling


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the model.

    Attributes:
        model: name that the answer carries; None for the loaded model's.
        messages: the conversation, or None.
        prompts: texts or tokens to continue, where there is no conversation.
        n: answers to each.
        max_tokens: None means up to the context.
        sampling: how tokens are drawn, but for the seed.
        wanted: names of the fields of `Sampling` that the request sets to something else than nothing.
        seed: None for a random one.
        stop: stop strings.
        ignore_ends: go on behind tokens that end an answer.
        calling: tools.
        structure: what the answer must be; None for free text.
        top_logprobs: of how many of the likeliest tokens log probabilities are wanted; None for none at all.
        variables: more for the chat template.
        stream: answer in pieces.
        include_usage: end the stream with the figures of usage.
        progress: tell in the stream how far the prompt has been computed.
        continues: go on with the last message, which is the assistant's.
    """

    model: str | None = None
    messages: tuple[dict[str, Any], ...] | None = None
    prompts: tuple[str | tuple[int, ...], ...] = ()
    n: int = 1
    max_tokens: int | None = None
    sampling: Sampling = Sampling()
    wanted: frozenset[str] = frozenset()
    seed: int | None = None
    stop: tuple[str, ...] = ()
    ignore_ends: bool = False
    calling: Calling = Calling()
    structure: Structure | None = None
    top_logprobs: int | None = None
    variables: dict[str, Any] = {}
    stream: bool = False
    include_usage: bool = False
    progress: bool = False
    continues: bool = False
