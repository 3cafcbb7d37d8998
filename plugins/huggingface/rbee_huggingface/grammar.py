"""Which names are the hub's, and what they mean."""

from __future__ import annotations

from typing import Final

import msgspec
from rbee.contract.errors import InvalidRequestError
from rbee.contract.model_refs import ModelRef, parse_ref

from rbee_huggingface.environment import hosts

SCHEME: Final = "hf"


def hub_ref(text: str) -> ModelRef | None:
    """What a name means to the hub; None for a name that is not its.  Looks at nothing but the letters."""
    try:
        ref = parse_ref(text)
    except InvalidRequestError:
        return None
    if ref.kind not in {"hub", "name"} or ref.scheme not in {None, SCHEME}:
        return None
    if ref.host is not None and ref.host not in hosts():
        return None
    return msgspec.structs.replace(ref, scheme=SCHEME, host=None)
