"""The data of server-sent events, taken from bytes however they are cut.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from rbee.contract.errors import WorkerFailedError

LARGEST_EVENT = 8 * 1024 * 1024


class EventData:
    """Collects bytes and gives the data of each event that is whole; comments and other fields are left out."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._data: list[bytes] = []
        self._held = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The events that these bytes complete.

        Raises:
            WorkerFailedError: an event is larger than 8 MiB.
        """
        self._held += len(data)
        if self._held > LARGEST_EVENT:
            raise WorkerFailedError(f"The worker sent an event of more than {LARGEST_EVENT} bytes.")
        if b"\n" not in data:
            self._parts.append(data)
            return []
        first, *lines = data.split(b"\n")
        lines.insert(0, b"".join([*self._parts, first]))
        rest = lines.pop()
        self._parts = [rest] if rest else []
        found = []
        for whole in lines:
            line = whole.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                found.append(b"\n".join(self._data))
                self._data.clear()
        self._held = len(rest) + sum(map(len, self._data))
        return found
