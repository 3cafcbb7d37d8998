"""A walk through what a constraint allows, in place of a model."""

from __future__ import annotations

import random

from rbee.contract import Constraint, Tokenizer

_CLOSING = b'"}]<\n'


def allowed(mask: bytes) -> list[int]:
    """The tokens whose bits are set."""
    return [8 * at + bit for at, byte in enumerate(mask) for bit in range(8) if byte >> bit & 1]


def walk(
    constraint: Constraint, tokenizer: Tokenizer, seed: int = 0, *, most: int = 3000, closing: str = ""
) -> list[int]:
    """Tokens drawn at random among those allowed, those that lead to an end more often than others.

    Args:
        constraint: to be kept.
        tokenizer: of the model.
        seed: of the draws.
        most: tokens after which there must be an end.
        closing: a text written now and then, to get out of where anything may come.

    Returns:
        The tokens before the one that ends the answer.

    Raises:
        AssertionError: a mask allows nothing, or the answer does not end.
    """
    draw = random.Random(seed)  # noqa: S311  # for tests
    way_out = tokenizer.encode(closing, special=False)
    tokens: list[int] = []
    pending: list[int] = []
    while len(tokens) < most:
        may = allowed(constraint.mask(tokens))
        assert may, "a mask allows nothing"
        if not pending and way_out and len(may) > tokenizer.size // 2 and draw.random() < 0.2:
            pending = list(way_out)
        if pending and pending[0] in may:
            tokens.append(pending.pop(0))
            continue
        pending = []
        quick = [token for token in may if token in tokenizer.ends or tokenizer.piece(token)[:1] in _CLOSING]
        tokens.append(draw.choice(quick if quick and draw.random() < 0.7 else may))
        if tokens[-1] in tokenizer.ends:
            return tokens[:-1]
    raise AssertionError(f"no end within {most} tokens")
