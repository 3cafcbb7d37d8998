"""Parameters of OpenAI's API that the host does not implement: refused where they would change the answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from rbee.contract.errors import InvalidRequestError

INERT = frozenset(
    {
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
    }
)
"""Parameters that tell the provider something and leave the answer as it is."""

NEUTRAL: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "audio": (),
        "best_of": (1,),
        "echo": (False,),
        "frequency_penalty": (0,),
        "function_call": ("none", "auto"),
        "functions": ([],),
        "logit_bias": ({},),
        "logprobs": (False,),
        "min_p": (0,),
        "modalities": (["text"],),
        "n": (1,),
        "parallel_tool_calls": (True, False),
        "prediction": (),
        "presence_penalty": (0,),
        "reasoning_effort": (),
        "repeat_penalty": (1,),
        "repetition_penalty": (1,),
        "response_format": ({"type": "text"},),
        "suffix": ("",),
        "tool_choice": ("none", "auto"),
        "tools": ([],),
        "top_logprobs": (0,),
        "verbosity": ("medium",),
        "web_search_options": (),
    }
)
"""Parameters that are not implemented, with the values (besides null) that ask for nothing."""


def refuse_unsupported(body: Mapping[str, Any], supported: frozenset[str]) -> None:
    """Let a body pass whose every parameter is implemented or asks for nothing.

    Raises:
        InvalidRequestError: one would have to be dropped silently; `param` names it.
    """
    for name, value in body.items():
        if name in supported or name in INERT or value is None:
            continue
        if name not in NEUTRAL:
            raise InvalidRequestError(f"There is no parameter {name!r}; leave it out.", param=name)
        if not any(_same(value, neutral) for neutral in NEUTRAL[name]):
            raise InvalidRequestError(
                f"This worker does not support {name!r} with the given value; leave it out.", param=name
            )


def refuse_ignored(body: Mapping[str, Any], ignored: Collection[str]) -> None:
    """Let a body pass in which no parameter asks for something that its server would drop.

    Raises:
        InvalidRequestError: one does; `param` names it.
    """
    for name in ignored:
        value = body.get(name)
        if value is not None and not any(_same(value, neutral) for neutral in NEUTRAL.get(name, ())):
            raise InvalidRequestError(f"This worker's engine does not support {name!r}; leave it out.", param=name)


def _same(value: Any, neutral: Any) -> bool:
    # To Python False is 0 and True is 1; in the API `logprobs: 0` asks for something that `false` does not.
    return bool(value == neutral) and isinstance(value, bool) == isinstance(neutral, bool)
