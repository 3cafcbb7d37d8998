"""What an import brings: machines, and what it left out."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

import msgspec

from rbee.beehives.beehive import BeehiveChanges
from rbee.contract.errors import NotFoundError


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """Machines of a file.

    Attributes:
        beehives: in the order of the file, each name once.
        notes: sentences for a person on what was left out, and why.
    """

    beehives: tuple[BeehiveChanges, ...]
    notes: tuple[str, ...] = ()

    def matching(self, patterns: Sequence[str]) -> Imported:
        """Those whose name one of the patterns (``*``, ``?``) matches; all without a pattern.

        Raises:
            NotFoundError: a pattern matches none.
        """
        if not patterns:
            return self
        for pattern in patterns:
            if not any(fnmatch.fnmatchcase(one.node_name, pattern) for one in self.beehives):
                names = ", ".join(one.node_name for one in self.beehives[:20]) or "none"
                raise NotFoundError(f"No machine of the file is called {pattern!r}. There: {names}.")
        chosen = (
            one for one in self.beehives if any(fnmatch.fnmatchcase(one.node_name, pattern) for pattern in patterns)
        )
        return Imported(beehives=tuple(chosen), notes=self.notes)
