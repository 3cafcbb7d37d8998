"""What the queen knows of her contact with one beehive: when to try again, and what is worth writing down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from rbee.beehives import Beehive, BeehiveStatus
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


class Contact:
    """Decides; does nothing itself.

    Args:
        beehive: as the registry has it.
        spread: makes a wait a little different each time.
    """

    def __init__(self, beehive: Beehive, spread: Callable[[float], float] = jittered) -> None:
        self._spread = spread
        self._written = Change(beehive.status, _float(beehive.last_connected_unix), beehive.backends, beehive.devices)
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

    def heard(self, now: float, unix: float, devices: tuple[Device, ...] | None) -> Change | None:
        """Its hive beats.

        Args:
            now: of the rising clock.
            unix: of the wall's.
            devices: as the hive tells them.

        Returns:
            What is to be written, if anything.
        """
        # Should it fall silent, the first try is made at once.
        self._waits, self._due = _retries(), now
        return self._answered(unix, devices)

    def tried(self, now: float, unix: float, finding: Finding) -> Change | None:
        """A try has found something; arguments and answer as of `heard`."""
        if finding.hive is not None:
            self.hive_id = finding.hive.hive.id
            # Rarely: it answers, and will beat once it has heard of the queen.
            self._waits, self._due = _retries(), now + self._spread(_AGAIN_S)
            return self._answered(unix, finding.hive.capabilities)
        self._due = now + self._spread(next(self._waits))
        change = Change(finding.status, None, None, None)
        return None if finding.status == self._written.status else change

    def wrote(self, change: Change) -> None:
        """The change has reached the registry."""
        kept = (new if new is not None else old for new, old in zip(change, self._written, strict=True))
        self._written = Change(*kept)  # type: ignore[arg-type]  # the same fields in the same order

    def _answered(self, unix: float, devices: tuple[Device, ...] | None) -> Change | None:
        change = Change(
            "online",
            unix,
            None if devices is None else tuple(sorted({str(device.backend) for device in devices})),
            None if devices is None else tuple(device.id for device in devices),
        )
        before = self._written
        # A clock that was set back must not keep the contact from being written for years.
        fresh = before.when is not None and 0 <= unix - before.when < _WRITE_S
        same = change.backends in {None, before.backends} and change.devices in {None, before.devices}
        return None if before.status == "online" and fresh and same else change


def _retries() -> Iterator[float]:
    waits = backoff()
    # The first wait is the one before the first try.
    next(waits)
    return waits


def _float(seconds: int | None) -> float | None:
    return None if seconds is None else float(seconds)
