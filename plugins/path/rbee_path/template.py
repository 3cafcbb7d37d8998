"""Words with places in braces, which a record gives and a load fills: `--port={port}`."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence

PLACES = frozenset(
    {
        "api_key",
        "context",
        "context_total",
        "device",
        "device_count",
        "device_number",
        "device_numbers",
        "device_shares",
        "host",
        "memory_mb",
        "model",
        "model_id",
        "model_name",
        "port",
        "program",
        "slots",
        "threads",
    }
)
"""What may stand in braces; a brace that is meant as one is written twice."""


def places_in(text: str) -> frozenset[str]:
    """The places of a text.

    Raises:
        ValueError: one is unknown, or more than a plain name.
    """
    found = set()
    for _, name, spec, conversion in string.Formatter().parse(text):
        if name is None:
            continue
        if name not in PLACES or spec or conversion:
            raise ValueError(f"{{{name}}} in {text!r} is no place; there are: {', '.join(sorted(PLACES))}")
        found.add(name)
    return frozenset(found)


def fill(text: str, values: Mapping[str, str | None]) -> str | None:
    """The text with its places filled; None where a value of them is unknown."""
    wanted = {name: values.get(name) for name in places_in(text)}
    if None in wanted.values():
        return None
    return text.format_map(wanted)


def fill_groups(groups: Sequence[Sequence[str]], values: Mapping[str, str | None]) -> Iterator[str]:
    """Arguments; a group with a place whose value is unknown is left out, all of it."""
    for group in groups:
        filled = [fill(one, values) for one in group]
        if None not in filled:
            yield from (one for one in filled if one is not None)
