"""What the server drops without a word, and its refusals in words that clients of the API know."""

from __future__ import annotations

import json
import re
from typing import Any

from rbee.contract.errors import ContextLengthError, InvalidRequestError, RbeeError

IGNORED = frozenset(
    {
        "audio",
        "best_of",
        "echo",
        "function_call",
        "functions",
        "guided_choice",
        "guided_grammar",
        "guided_json",
        "guided_regex",
        "modalities",
        "prediction",
        "reasoning_effort",
        "structured_outputs",
        "suffix",
        "verbosity",
        "web_search_options",
    }
)
"""Parameters of OpenAI's API, and vLLM's for structured answers, that change nothing, as seen with 2026.10.

More answers (`n`) than slots it refuses itself.
"""

_TOO_LONG = "exceed_context_size_error"
_FIELD = re.compile(r"^Field '(\w+)': (.*)", re.DOTALL)
_NAMED = re.compile(r"^(top_logprobs|response_format|tools|tool_choice|logit_bias|grammar|json_schema)\b")

_SAYS = (
    (
        "messages",
        re.compile(r"^Expected '(messages|content)' to be |\bmessages must contain 'content'|^unsupported content\["),
    ),
    ("messages", re.compile(r"^Cannot continue an assistant message\b|\bkey 'messages' not found")),
    ("prompt", re.compile(r"""^"prompt" |^Prompt contains |\bkey 'prompt' not found""")),
    ("tool_choice", re.compile(r"^Invalid tool_choice\b")),
)
"""Parameters that the server means and does not name as such, by its words (2026.10)."""

_MISREAD = re.compile(
    r"^Failed to parse (messages|tools|tool call arguments)\b|^(image|audio|video) input is not supported\b"
)
"""What the server calls its own fault (500) and is the request's, by the beginnings of its messages (2026.10)."""


def check_lora(wanted: Any, adapters: int, *, kept: bool) -> None:
    """Refuse a choice of adapters that the server would drop, or that caches know nothing of.

    Args:
        wanted: the field ``lora`` of a request: ``[{"id": 0, "scale": 0.5}]``.
        adapters: how many were loaded.
        kept: conversations are kept on disk.

    Raises:
        InvalidRequestError: saying what is allowed.
    """
    if wanted is None:
        return
    if kept:
        raise InvalidRequestError(
            "'lora' cannot be set by a request where conversations are kept (session_cache_mb): their caches are of "
            "the adapters that the worker was started with.",
            param="lora",
        )
    entries = wanted if isinstance(wanted, list) else [wanted]
    for one in entries:
        number = one.get("id") if isinstance(one, dict) else None
        if type(number) is not int or not 0 <= number < adapters:
            raise InvalidRequestError(
                f"'lora' is a list of {{'id', 'scale'}} with ids from 0 to {adapters - 1}, not {wanted!r:.100}.",
                param="lora",
            )


def refusal(path: str, body: bytes) -> RbeeError | None:
    """An error for the body of a refusal; None for one that says nothing more than it says already.

    Args:
        path: OpenAI route without prefix.
        body: JSON of the server's.
    """
    try:
        told: Any = json.loads(body)["error"]
        message, kind = str(told["message"]), told.get("type")
    except (ValueError, KeyError, TypeError):
        return None
    if kind == _TOO_LONG:
        prompt, context = told.get("n_prompt_tokens"), told.get("n_ctx")
        figures = f"The prompt has {prompt} tokens, the context {context}" if prompt and context else message
        return ContextLengthError(
            f"{figures}; shorten the prompt, or start the worker with a longer context.",
            param="messages" if path.startswith("/v1/chat") else "prompt",
            details={"prompt_tokens": prompt, "context_length": context},
        )
    if kind == "invalid_request_error":
        named = _FIELD.match(message)
        if named is not None:
            return InvalidRequestError(f"{named[1]!r}: {named[2].rstrip('.')}.", param=named[1])
        begins = _NAMED.match(message)
        if begins is not None:
            return InvalidRequestError(f"{message.rstrip('.')}.", param=begins[1])
        # In the envelope that clients know, which has a `param` also where nobody can tell it.
        param = next((param for param, words in _SAYS if words.search(message)), None)
        return InvalidRequestError(f"{message.rstrip('.')}.", param=param)
    misread = _MISREAD.match(message)
    if misread is not None:
        return InvalidRequestError(f"{message.rstrip('.')}.", param="tools" if misread[1] == "tools" else "messages")
    return None
