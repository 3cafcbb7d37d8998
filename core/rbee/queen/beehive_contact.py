"""What the queen knows of her contact with one beehive: when to try again, and what is worth writing down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from rbee.beehives import Beehive, BeehiveReach, BeehiveStatus
from rbee.clients import backoff, jittered
from rbee.contract.types import Device
from rbee.queen.beehive_probe import Finding

_WRITE_S = 60
"""A hive beats every second; its last contact is written down no more often than this."""

_AGAIN_S = 30.0


class Change(NamedTuple):
    """What is to be written; None leaves what is there."""

    status: BeehiveStatus
    when: float | None
    backends: tuple[str, ...] | None
    devices: tuple[str, ...] | None
    reach: BeehiveReach | None = None
    tunnel_port: int | None = None


class Contact:
    """Decides; does nothing itself.

    Args:
        beehive: as the registry has it.
        spread: makes a wait a little different each time.
    """

    def __init__(self, beehive: Beehive, spread: Callable[[float], float] = jittered) -> None:
        self._spread = spread
        self._written = Change(
            beehive.status,
            _float(beehive.last_connected_unix),
            beehive.backends,
            beehive.devices,
            beehive.reach,
            beehive.tunnel_port,
        )
        self._waits = _retries()
        self._due = 0.0
        self.hive_id: str | None = None
        """The hive that has answered at its address."""

    @property
    def status(self) -> BeehiveStatus:
        """As it was last written."""
        return self._written.status

    def is_due(self, now: float) -> bool:
        """Whether to try to reach it at a moment of a rising clock."""
        return now >= self._due

    def again(self) -> None:
        """There is news of a way to it: the next try is made at once."""
        self._waits, self._due = _retries(), 0.0

    def heard(
        self,
        now: float,
        unix: float,
        devices: tuple[Device, ...] | None,
        *,
        reach: BeehiveReach | None = None,
        answers: bool = True,
    ) -> Change | None:
        """Its hive beats.

        Args:
            now: of the rising clock.
            unix: of the wall's.
            devices: as the hive tells them.
            reach: how it is reached; None when that is not known.
            answers: the queen reaches it, too; otherwise ways to it go on being tried.

        Returns:
            What is to be written, if anything.
        """
        if answers:
            # Should it fall silent, the first try is made at once.
            self._waits, self._due = _retries(), now
        return self._answered(unix, devices, reach)

    def leads_back(self, port: int | None) -> Change | None:
        """The port of its loopback that leads to the queen, None when none does; answer as of `heard`."""
        if port is None or port == self._written.tunnel_port:
            return None
        return Change(self.status, None, None, None, None, port)

    def tried(self, now: float, unix: float, finding: Finding, *, beats: bool = False) -> Change | None:
        """A try has found something; arguments and answer as of `heard`.

        Args:
            now: of the rising clock.
            unix: of the wall's.
            finding: of the try.
            beats: its hive is heard all the same.
        """
        if finding.hive is not None:
            self.hive_id = finding.hive.hive.id
            # Rarely: it answers, and will beat once it has heard of the queen.
            self._waits, self._due = _retries(), now + self._spread(_AGAIN_S)
            return self._answered(unix, finding.hive.capabilities, finding.reach)
        self._due = now + self._spread(next(self._waits))
        change = Change(finding.status, None, None, None)
        return None if beats or finding.status == self._written.status else change

    def wrote(self, change: Change) -> None:
        """The change has reached the registry."""
        kept = (new if new is not None else old for new, old in zip(change, self._written, strict=True))
        self._written = Change(*kept)  # type: ignore[arg-type]  # the same fields in the same order

    def _answered(self, unix: float, devices: tuple[Device, ...] | None, reach: BeehiveReach | None) -> Change | None:
        change = Change(
            "online",
            unix,
            None if devices is None else tuple(sorted({str(device.backend) for device in devices})),
            None if devices is None else tuple(device.id for device in devices),
            reach,
        )
        before = self._written
        # A clock that was set back must not keep the contact from being written for years.
        fresh = before.when is not None and 0 <= unix - before.when < _WRITE_S
        same = all(new is None or new == old for new, old in zip(change[2:], before[2:], strict=True))
        return None if before.status == "online" and fresh and same else change


def _retries() -> Iterator[float]:
    waits = backoff()
    # The first wait is the one before the first try.
    next(waits)
    return waits


def _float(seconds: int | None) -> float | None:
    return None if seconds is None else float(seconds)
