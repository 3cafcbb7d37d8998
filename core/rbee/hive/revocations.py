"""What the queen says holds no more, told to the programs of this machine."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from rbee.contract.errors import RbeeError
from rbee.trust.revoked import tell_revoked

log = logging.getLogger(__name__)


class Revocations:
    """Heard with beats and renewals; kept in files beside the certificates of who is to know.

    Args:
        folders: of certificates, or of folders of them; none where all listen on loopback alone.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._last: tuple[str, ...] | None = None

    def heard(self, serials: tuple[str, ...]) -> None:
        """The queen's word: numbers in hexadecimal digits, all of them."""
        if serials == self._last or not self._folders:
            return
        try:
            found = frozenset(int(one, 16) for one in serials)
            for folder in self._folders:
                tell_revoked(folder, found)
        except (ValueError, RbeeError) as error:
            # Said again with the next beat.
            log.warning("what was revoked could not be told to this machine's programs: %s", error)
            return
        self._last = serials
