"""Two probes that tell the same figure: said once, with both names, since the second one's is not taken."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import msgspec

from rbee.contract.probe import NodeSample, ProcessSample

log = logging.getLogger(__name__)

_SHARED = frozenset({"gpus"})
"""What several probes tell together, each of its own."""


class Clashes:
    """Remembers what has been said: a sample comes every second."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str, str]] = set()

    def heed(self, told: Iterable[tuple[str, NodeSample | ProcessSample]]) -> None:
        """Look through what several probes tell of one thing.

        Args:
            told: names of probes and their samples, in the order in which they count.
        """
        first: dict[str, str] = {}
        for name, sample in told:
            for figure, value in msgspec.structs.asdict(sample).items():
                if value is None or value == () or figure in _SHARED:
                    continue
                teller = first.setdefault(figure, name)
                if teller == name or (teller, name, figure) in self._said:
                    continue
                self._said.add((teller, name, figure))
                of = "the machine" if isinstance(sample, NodeSample) else "a worker"
                log.warning(
                    "probes %r and %r both tell %s of %s; the first one's counts (said once)", teller, name, figure, of
                )
