"""Limits of what others may write into the colony's records: names reach logs, paths and lists, and stay short."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from rbee.contract.errors import InvalidRequestError

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

LONGEST_ID = 200
LONGEST_TEXT = 4096
"""A model may be named by its path."""

LARGEST_METADATA = 16 * 1024


def checked_identity(value: str | None, field: str) -> str:
    """An id of a component: 1 to 200 printable characters without ``/``.

    Args:
        value: as it came in.
        field: its name in the request, for the message.

    Raises:
        InvalidRequestError: it is missing, or something else.
    """
    if not value or len(value) > LONGEST_ID or "/" in value or not value.isprintable():
        raise InvalidRequestError(f"{field!r} must be 1 to {LONGEST_ID} printable characters without '/'.", param=field)
    return value


def check_texts(**fields: str | None) -> None:
    """Refuse what is no short line of text.

    Args:
        fields: by their names in the request; None where it was left out.

    Raises:
        InvalidRequestError: one is longer than 4096 characters, or holds a control character; names it.
    """
    for field, value in fields.items():
        if value is not None and (len(value) > LONGEST_TEXT or _CONTROL.search(value)):
            raise InvalidRequestError(
                f"{field!r} must be at most {LONGEST_TEXT} characters, none of them a control character.", param=field
            )


def check_metadata(metadata: Mapping[str, Any]) -> None:
    """Refuse more free facts than a record may carry.

    Raises:
        InvalidRequestError: they are more than 16 KiB as JSON.
    """
    if metadata and len(msgspec.json.encode(metadata)) > LARGEST_METADATA:
        raise InvalidRequestError(f"'metadata' must be at most {LARGEST_METADATA} bytes of JSON.", param="metadata")
