"""Cards that stand on the PCI bus, whether or not a driver knows them."""

from __future__ import annotations

import contextlib
from pathlib import Path

_VENDOR = "0x10de"
_DISPLAY = "0x03"
"""Class of display controllers; the same card may have a sound device, too."""


def visible_cards(bus: Path) -> list[str]:
    """Addresses of NVIDIA's display controllers, as ``0000:01:00.0``; none where the system does not tell.

    Args:
        bus: the kernel's folder of devices.
    """
    found = []
    with contextlib.suppress(OSError):
        for device in sorted(bus.iterdir()):
            with contextlib.suppress(OSError):
                vendor = (device / "vendor").read_text(encoding="ascii").strip()
                kind = (device / "class").read_text(encoding="ascii").strip()
                if vendor == _VENDOR and kind.startswith(_DISPLAY):
                    found.append(device.name)
    return found
