"""What a hive calls itself, and how its stream carries a beat."""

from __future__ import annotations

import socket

import msgspec

from rbee.contract.wire import HiveHeartbeat, HiveTelemetry


def default_hive_id() -> str:
    """The machine's name, as far as it fits the grammar of ids."""
    name = socket.gethostname().partition(".")[0]
    cleaned = "".join(char if char.isalnum() or char in "._-" else "-" for char in name).strip("._-")
    return cleaned[:63] or "localhost"


def telemetry_line(beat: HiveHeartbeat, told: HiveHeartbeat | None) -> bytes:
    """A beat as the hive's own stream carries it.

    Args:
        beat: what was measured.
        told: what this listener was told before; None for nothing yet.
    """
    changed = told is None or (told.capabilities, told.engines) != (beat.capabilities, beat.engines)
    line = HiveTelemetry(
        hive_id=beat.hive.id,
        hive_info=beat.hive,
        timestamp=beat.timestamp,
        workers=beat.workers,
        node=beat.node,
        capabilities=beat.capabilities if changed else None,
        engines=beat.engines if changed else None,
    )
    return msgspec.json.encode(line)
