"""Why a text is no name of a model, and what was probably meant."""

from __future__ import annotations

import re

LONGEST = 4096
ROOM = 32
"""Characters that a canonical name may be longer than what was typed."""

FORMS = "'org/repo', 'org/repo:Q4_K_M', 'org/repo@revision::file.gguf', './file.gguf' or an alias"
SUM_FORM = "#sha256=<64 hex digits>"

_SHOWN = 160
_LOGIN = re.compile(r"^([A-Za-z]{1,16}://)[^/?#@]*(?:@[^/?#@]*)*@")


class RefusedError(Exception):
    """A text is not in the grammar; told by `parse_ref` as an `InvalidRequestError`.

    Args:
        why: continues a sentence that begins with the name.
        meant: texts that may have been meant, the likeliest first; only one that parses is shown.
        shape: how it must look, where that cannot be parsed itself.
    """

    def __init__(self, why: str, *meant: str, shape: str | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.meant = meant
        self.shape = shape


def shown(text: str) -> str:
    """A text for a message: quoted, on one line, not too long, without a login."""
    whole = _LOGIN.sub(r"\1***@", text[: LONGEST + 1])
    if len(whole) > _SHOWN:
        whole = f"{whole[:_SHOWN]}..."
    if whole.isprintable() and "'" not in whole:
        # Without doubled backslashes, as it was typed.
        return f"'{whole}'"
    return ascii(whole)


def repairs(text: str) -> list[str]:
    """What `text` may have been meant to be, by what people get wrong, the smallest change first."""
    bare = "".join(letter for letter in text[: LONGEST + 1] if letter.isprintable()).strip().strip("'\"").strip()
    slashed = bare.replace("\\", "/")
    scheme, colon, rest = slashed.partition("://")
    if colon and scheme.lower() not in {"http", "https", "file"}:
        slashed = f"{scheme}:{rest}"
    tidy = _tidy(slashed)
    found: list[str] = []
    # The address of a page, with behind it what only a name has.
    paged = rest.partition("?")[0] if colon and scheme.lower() in {"http", "https"} else ""
    # An option that was quoted together with the name.
    words = tidy.partition(" -")[0] if " -" in tidy else tidy.replace(" ", "-")
    for one in (bare, slashed, tidy, words, tidy.partition("?")[0], paged):
        if one and one != text and one not in found:
            found.append(one)
    return found


def _tidy(text: str) -> str:
    """Parts that are empty or lead upwards taken out, spaces at marks, and marks that nothing follows."""
    scheme, address, rest = text.partition("://")
    if not address:
        scheme, rest = "", text
    for mark in "/:@":
        rest = mark.join(part.strip() for part in rest.split(mark))
    while "//" in rest:
        rest = rest.replace("//", "/")
    # A revision or a file that was left out.
    for wrong, right in (("@:", ":"), (":::", "::"), ("/:", ":"), ("/@", "@"), (":@", "@"), ("@@", "@"), (":/", ":")):
        rest = rest.replace(wrong, right)
    parts = [part for part in rest.split("/") if part != ".."]
    return scheme + address + "/".join(parts).rstrip("/:@ ")
