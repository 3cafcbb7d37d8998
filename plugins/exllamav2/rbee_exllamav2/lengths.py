"""How long a request may be, and how large the cache."""

from __future__ import annotations

from typing import Final

import msgspec
from rbee.contract.errors import InvalidRequestError, ModelFileError

from rbee_exllamav2.options import PAGE, Plan

DEFAULT_CONTEXT: Final = 8192


class Lengths(msgspec.Struct, frozen=True):
    """In tokens.

    Attributes:
        context: prompt and answer of one request.
        positions: that a request may reach, guesses past its end among them; a multiple of a page.
        cache: of all requests, a multiple of a page.
    """

    context: int
    positions: int
    cache: int


def lengths_of(plan: Plan, slots: int, model: int, spare: int) -> Lengths:
    """What a load comes to.

    Args:
        plan: what is asked for.
        slots: requests at a time.
        model: positions that the model was made for; of two models, the fewer.
        spare: tokens of the cache that the library keeps free behind a request, the guesses among them.

    Raises:
        ModelFileError: the model has no page's length of positions.
        InvalidRequestError: the cache asked for holds no request.
    """
    reach = model // PAGE * PAGE
    if reach <= spare:
        raise ModelFileError(f"'{plan.folder}' is made for {model} tokens, fewer than a page of the cache ({PAGE})")
    wanted = plan.context_length or DEFAULT_CONTEXT
    context = min(wanted, reach - plan.draft_tokens)
    if plan.cache_tokens is not None:
        context = min(context, plan.cache_tokens - spare)
    if context < 1:
        raise InvalidRequestError(
            f"The option 'cache_tokens' leaves no room for a request at {plan.cache_tokens}; try {PAGE * 4}.",
            param="options.cache_tokens",
        )
    cache = plan.cache_tokens or slots * whole_pages(context + spare)
    return Lengths(context, min(whole_pages(context + plan.draft_tokens), reach), cache)


def whole_pages(tokens: int) -> int:
    """`tokens`, rounded up to full pages."""
    return -(-tokens // PAGE) * PAGE
