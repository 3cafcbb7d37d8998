"""Stop strings, also where one is spread over several tokens."""

from __future__ import annotations

from collections.abc import Sequence

from rbee.worker.tokens.held import undecided


class StopFilter:
    """Cuts a text that comes in pieces at the first stop string to be complete.

    The answer ends as soon as any stop string is complete, and then before its first character; of several
    that the same character completes, the longest counts.  What could still become one is held back.

    Args:
        stops: non-empty strings; none at all lets everything pass.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped: str | None = None
        """The stop string that has ended the text; None until one has."""

    def feed(self, text: str) -> str:
        """Take the next piece; returns what may be shown by now, nothing once `stopped`."""
        if self.stopped is not None:
            return ""
        if not self._stops:
            return text
        text = self._held + text
        found = self._cut(text)
        if found is None:
            border = len(text) - undecided(text, self._stops)
            self._held = text[border:]
            return text[:border]
        cut, stop = found
        self.stopped, self._held = stop, ""
        return text[:cut]

    def flush(self) -> str:
        """What was held back, at the end of the text: it has not become a stop string."""
        held, self._held = self._held, ""
        return held

    def _cut(self, text: str) -> tuple[int, str] | None:
        """Where the stop string begins that is complete first, and which it is; None when there is none."""
        found = [(at + len(stop), at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        return min(found)[1:] if found else None
