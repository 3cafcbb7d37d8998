"""The clocks of the hives, compared with the queen's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from rbee.contract.wire import utc_now
from rbee.telemetry import TelemetryRegistry
from rbee.telemetry.aggregate import aware

log = logging.getLogger(__name__)

SKEW_S = 5.0
"""So far two clocks may be apart without a word."""

_FORGOTTEN = 64


class HiveClocks:
    """How far each hive's clock is from the queen's, and whether its words can be ordered by it.

    Args:
        telemetry: knows the hives; those it has forgotten are forgotten here.
        now: the clock of the day.
    """

    def __init__(self, telemetry: TelemetryRegistry, now: Callable[[], datetime] = utc_now) -> None:
        self._telemetry = telemetry
        self._now = now
        self._skews: dict[str, float] = {}
        self._ahead: set[str] = set()

    @property
    def skews(self) -> Mapping[str, float]:
        """Seconds by which each hive's clock was ahead of the queen's at its last word; negative when behind."""
        return self._skews

    def may_be_right(self, hive_id: str, timestamp: datetime) -> bool:
        """False for a time that is yet to come; that is logged once, and again after the clock was right.

        Ordered by such a time, one message of a wrong clock would make every later one look late.
        """
        ahead_s = (aware(timestamp) - self._now()).total_seconds()
        if ahead_s <= SKEW_S:
            self._ahead.discard(hive_id)
            return True
        if hive_id not in self._ahead:
            self._ahead.add(hive_id)
            log.warning(
                "the clock of hive %r is %.0f s ahead of the queen's: its heartbeats count in the order in which they "
                "come. Let both machines set their clocks by the network (NTP).",
                hive_id,
                ahead_s,
            )
        return False

    def heard(self, hive_id: str, timestamp: datetime) -> None:
        """A hive's beat was taken: its clock is compared with the queen's."""
        if len(self._skews) > 2 * self._telemetry.hive_count() + _FORGOTTEN:
            known = {record.hive_id for record in self._telemetry.list_all_hives()}
            self._skews = {one: skew for one, skew in self._skews.items() if one in known}
            self._ahead &= known
        self._skews[hive_id] = (aware(timestamp) - self._now()).total_seconds()
