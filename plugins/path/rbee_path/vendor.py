"""What this machine has on its PATH, as a worker vendor lists it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from rbee.contract import CancelToken, FetchProgress, WorkerOffer, WorkerVendor
from rbee.contract.errors import ConflictError, EngineUnavailableError, NotFoundError

from rbee_path.availability import availability, program_of
from rbee_path.reading import read_records, user_folder
from rbee_path.record import EngineRecord


class PathVendor(WorkerVendor):
    """Lists servers; installs and removes none: they belong to whoever put them there."""

    name = "path"

    def catalog(self) -> Sequence[WorkerOffer]:
        """One offer a record."""
        return tuple(
            self._offer(one)
            if isinstance(one, EngineRecord)
            else WorkerOffer(
                worker=f"path-{one.name}", vendor=self.name, installed=False, available=False, reason=one.reason
            )
            for one in read_records(user_folder(os.environ))
        )

    def install(
        self, offer: WorkerOffer, say: Callable[[str], None], progress: FetchProgress, cancel: CancelToken
    ) -> None:
        """Say how a person gets it.

        Raises:
            EngineUnavailableError: always.
        """
        cancel.raise_if_cancelled()
        raise EngineUnavailableError(
            f"The worker {offer.worker!r} is a program of this machine, which rbee does not install: {offer.reason}."
        )

    def remove(self, offer: WorkerOffer, say: Callable[[str], None], cancel: CancelToken) -> None:
        """Leave it to whoever has installed it.

        Raises:
            NotFoundError: it is not here.
            ConflictError: it is.
        """
        cancel.raise_if_cancelled()
        present = [one for one in self.catalog() if one.worker == offer.worker and one.installed]
        if not present:
            raise NotFoundError(f"The worker {offer.worker!r} is not installed.")
        raise ConflictError(
            f"The worker {offer.worker!r} is {present[0].origin}, which rbee did not install; remove it as it came."
        )

    def _offer(self, record: EngineRecord) -> WorkerOffer:
        found, program = availability(record), program_of(record)
        origin = f"'{program}'" if program else f"a server at {record.join.url}" if record.join else None
        return WorkerOffer(
            worker=f"path-{record.name}",
            vendor=self.name,
            installed=found.available,
            available=found.available,
            reason=found.reason,
            version=found.version,
            formats=record.formats,
            backends=record.backends,
            summary=record.summary,
            origin=origin if found.available else None,
        )
