"""A request's text as a chain of digests: two texts begin alike for as long as their chains do.

What a request holds is never stored or compared itself.  A chain only tells which cache is worth a try: the library
compares the tokens, and computes those that differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

BLOCK = 512
"""Bytes of text for a link; about 128 tokens of English."""
LINK = 8
"""Bytes of a digest; a mistake costs no more than a restored cache that is of no use."""


def chain_of(path: str, body: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The chain of a request's text, without its last piece that fills no block; None for a request not understood.

    Args:
        path: OpenAI route without prefix.
        body: of the request.
    """
    text = _text_of(path, body)
    if text is None:
        return None
    links, digest = [], b""
    for start in range(0, len(text) - BLOCK + 1, BLOCK):
        digest = hashlib.sha256(digest + text[start : start + BLOCK]).digest()[:LINK]
        links.append(digest.hex())
    return tuple(links)


def _text_of(path: str, body: Mapping[str, Any]) -> bytes | None:
    if path == "/v1/completions":
        prompt = body.get("prompt")
        return prompt.encode("utf-8", "surrogatepass") if isinstance(prompt, str) else None
    messages = body.get("messages")
    if not isinstance(messages, list):
        return None
    # Each by itself, so that a conversation which has gone on begins as it did.
    parts = [body.get("tools"), *messages]
    return "\n".join(json.dumps(part) for part in parts).encode()
