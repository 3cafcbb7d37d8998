"""Ids as people type them: the whole, or as much of it as leaves no doubt."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from rbee.contract.errors import InvalidRequestError, NotFoundError

_SHOWN = 5


def by_prefix(wanted: str, names: Collection[str], what: str, lister: str, implied: str = "") -> str:
    """The name that is meant.

    Args:
        wanted: what was typed.
        names: those there are.
        what: what is named, for the message: "worker".
        lister: command that lists them.
        implied: beginning of all names that may be left out.

    Raises:
        NotFoundError: there is none that begins so.
        InvalidRequestError: several begin so, or nothing was typed.
    """
    if not wanted:
        raise InvalidRequestError(f"The {what}'s id is empty; `{lister}` lists them.")
    for whole in (wanted, implied + wanted):
        if whole in names:
            return whole
    found = sorted(name for name in set(names) if name.startswith((wanted, implied + wanted)))
    if len(found) == 1:
        return found[0]
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise InvalidRequestError(
            f"{wanted!r} may mean {', '.join(found[:_SHOWN])}{more}. Type more of the {what}'s id."
        )
    close = difflib.get_close_matches(wanted, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise NotFoundError(f"There is no {what} {wanted[:128]!r}.{hint} `{lister}` lists them.")
