"""What a pattern asks of a text, in words: a regular expression tells most people nothing."""

from __future__ import annotations

import re

ADDRESS = r"^https?://(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]]+)(:[0-9]{1,5})?(/[^\s?#]*)?\Z"
"""An address of a program of the colony."""

LABEL = r"^(?!(?:gpu|vram|backend|device|cores|hive)=)[a-z0-9][a-z0-9._-]{0,62}=[^,=\s][^,=]{0,62}\Z"
"""A label of a machine; its key is none of what machines and devices are asked for anyhow."""

_NAME = re.compile(r"\^\[A-Za-z0-9\]\[A-Za-z0-9\._-\]\{0,(\d+)\}")
_PATTERN = "matching regex"


def in_words(problem: str) -> str:
    """A validator's sentence, with words in the place of a pattern; other sentences stay as they are.

    Args:
        problem: as msgspec tells it, without the place.
    """
    _, found, pattern = problem.partition(_PATTERN)
    if not found:
        return problem
    if repr(LABEL) in pattern:
        return (
            "a label is KEY=VALUE, as room=attic, its key in small letters and none of gpu, vram, backend, device, "
            "cores and hive, which are known without"
        )
    if name := _NAME.search(pattern):
        most = int(name[1]) + 1
        return f"use letters, digits and . _ -, at most {most} characters, the first a letter or a digit"
    if "^https?://" in pattern:
        return "it is no address; an address is http://HOST:PORT, as http://10.0.0.5:7830"
    return "it has characters that do not belong there"
