"""How the sentences of the features name things."""

from __future__ import annotations

import re

from pytest_bdd import parsers


def names(text: str) -> list[str]:
    """The names of a list like "w1", "w2"."""
    return re.findall(r'"([^"]+)"', text)


def sentence(words: str) -> parsers.re:
    """A sentence with names in quotation marks, or lists of them."""
    return parsers.re(re.sub(r"\\\{(\w+)\\\}", r'"(?P<\1>[^"]*)"', re.escape(words)) + r"\Z")


def sentence_with_list(words: str) -> parsers.re:
    """The same for a list of workers at the place of ``{workers}``."""
    return parsers.re(re.escape(words).replace(r"\{workers\}", r'workers? (?P<workers>"[^"]+"(?:, "[^"]+")*)') + r"\Z")
