"""The most memory that each worker has used since it began."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rbee.contract.wire import ProcessStats

_Key = tuple[str | None, int | None]
"""A worker and its process: an id may be used again."""


class Peaks:
    """Puts into each sample the peak that the samples before it, and the system, have seen.

    A sample is taken every second.  What came and went between two of them is in the peak where the system keeps one,
    as Linux does for what is resident; the memory of a GPU is as its samples show it.
    """

    def __init__(self) -> None:
        self._seen: dict[_Key, tuple[int | None, int | None]] = {}

    def raised(self, stats: Sequence[ProcessStats]) -> tuple[ProcessStats, ...]:
        """The samples with their peaks.

        Args:
            stats: of all workers; one that is not among them is forgotten.
        """
        seen: dict[_Key, tuple[int | None, int | None]] = {}
        told = []
        for one in stats:
            key = (one.worker_id, one.pid)
            rss, vram = self._seen.get(key, (None, None))
            rss, vram = _most(rss, one.rss_peak_mb, one.rss_mb), _most(vram, one.vram_peak_mb, one.vram_mb)
            seen[key] = rss, vram
            told.append(msgspec.structs.replace(one, rss_peak_mb=rss, vram_peak_mb=vram))
        self._seen = seen
        return tuple(told)


def _most(*figures: int | None) -> int | None:
    return max((one for one in figures if one is not None), default=None)
