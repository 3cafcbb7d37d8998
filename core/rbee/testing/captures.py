"""What goes over a cable, for tests of what may not be read there.  Linux, with the rights of an administrator."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self

_ALL = 0x0003
"""ETH_P_ALL of ``linux/if_ether.h``: frames of every protocol."""
_LARGEST = 256 * 1024
_LOOK_S = 0.2


class Capture:
    """Keeps every frame that passes an interface; a context manager.

    Args:
        interface: its name, in this process's network.
    """

    def __init__(self, interface: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024 * 1024)
        self._socket.bind((interface, 0))
        self._socket.settimeout(_LOOK_S)
        self._frames: list[bytes] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, name="capture", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()

    @property
    def size(self) -> int:
        """Bytes that have passed."""
        return sum(map(len, list(self._frames)))

    def holds(self, text: str) -> bool:
        """Whether a text has passed within one frame, readable, in whichever case.

        What is long is cut into frames: look for something short.
        """
        wanted = text.encode().lower()
        return any(wanted in frame.lower() for frame in list(self._frames))

    def _read(self) -> None:
        while not self._over.is_set():
            try:
                self._frames.append(self._socket.recv(_LARGEST))
            except TimeoutError:
                continue
            except OSError:
                # The cable is gone.
                return
