"""Hives and workers that the queen is told of: by themselves, by who started them, by the registry, by the operator."""

from __future__ import annotations

import logging
from typing import NoReturn

import msgspec

from rbee.contract.errors import ConflictError
from rbee.contract.joining import check_hive_beat, checked_registration
from rbee.contract.wire import Component, HiveHeartbeat, HiveInfo, Registration
from rbee.queen.inquiries import Inquiries
from rbee.queen.subscriptions import HiveSubscriptions
from rbee.telemetry import TelemetryRegistry, WorkerEntry

log = logging.getLogger(__name__)


class Introductions:
    """Enters who is told of, and begins to hear of them from themselves.

    Args:
        telemetry: into which all of it goes.
        subscriptions: reads the hives' streams.
        inquiries: asks the workers.
    """

    def __init__(self, telemetry: TelemetryRegistry, subscriptions: HiveSubscriptions, inquiries: Inquiries) -> None:
        self._telemetry = telemetry
        self._subscriptions = subscriptions
        self._inquiries = inquiries

    def worker(self, registration: Registration) -> bool:
        """The fast path and the ready callback; True when the worker was not known.

        Raises:
            InvalidRequestError: no id, no address, or a field is out of bounds.
        """
        worker_id, url = checked_registration(registration)
        created = self._telemetry.register_worker(registration)
        entry = self._telemetry.get_worker(worker_id)
        if entry is not None and entry.implementation is None:
            # It has not spoken for itself yet, and may do so only seconds from now.
            self._inquiries.ask(worker_id, url, entry.hive_id)
        return created

    def hive(self, registration: Registration, *, leased: bool = False, answers: bool = False) -> None:
        """The fast path for a hive.

        Args:
            registration: of the hive.
            leased: the registry has told of it.
            answers: it has just answered at this address; otherwise the one at which it has answered before counts.

        Raises:
            InvalidRequestError: no id, no address, or a field is out of bounds.
        """
        hive_id, url = checked_registration(registration)
        if not answers:
            url = self._subscriptions.address(hive_id, registration.instance_id) or url
        record = self._telemetry.update_hive(hive_id, url, registration.instance_id)
        # The record's address: a late word of an earlier instance has not changed it.
        answered = registration.instance_id if answers else None
        self._subscriptions.follow(hive_id, record.url or url, leased=leased, answered=answered)

    def beat(self, beat: HiveHeartbeat) -> bool:
        """A hive's heartbeat, pushed or from its stream; False when it was late.

        Raises:
            ConflictError: another hive goes by this id.
            InvalidRequestError: a field is out of bounds.
        """
        check_hive_beat(beat)
        hive = beat.hive
        # Where it has answered it is reached, wherever it believes to be.
        url = self._subscriptions.address(hive.id, hive.instance_id) or Registration(url=hive.url).address
        reached = msgspec.structs.replace(beat, hive=msgspec.structs.replace(hive, url=url))
        known = self._telemetry.rival(hive.id)
        if not self._telemetry.update_hive_state(reached):
            rival = self._telemetry.rival(hive.id)
            if rival is not None and rival.instance_id == hive.instance_id:
                self._refuse(rival, told=known is not None)
            return False
        if url is not None and not self._subscriptions.follows(hive.id, url):
            self._subscriptions.follow(hive.id, url)
        return True

    def _refuse(self, rival: HiveInfo, *, told: bool) -> NoReturn:
        present = self._telemetry.get_hive_state(rival.id)
        where = present.url if present is not None else None
        error = ConflictError(
            f"Hive id {rival.id!r} is in use by another hive, at {where!r}; it is not heard at {rival.url!r}. "
            "Give one of them another id (setting hive.id) and start it again."
        )
        if not told:
            log.warning("%s", error)
        raise error

    def component(self, component: Component) -> None:
        """The registry tells of a component; what the queen knows already, and better, is left as it is."""
        registration = Registration(
            component_type=component.component_type,
            component_id=component.component_id,
            url=component.url,
            instance_id=component.instance_id,
            metadata=component.metadata,
            model=_text(component.metadata.get("model")),
            spawned_by=_text(component.metadata.get("spawned_by")),
            hive_id=_text(component.metadata.get("hive_id")),
            state=_text(component.metadata.get("state")),
        )
        if component.component_type == "worker":
            worker = self._telemetry.get_worker(component.component_id)
            if worker is None or worker.instance_id != component.instance_id:
                self.worker(registration)
        elif component.component_type == "hive":
            hive = self._telemetry.get_hive_state(component.component_id)
            if hive is None or hive.instance_id != component.instance_id:
                self.hive(registration, leased=True)
            elif hive.url is not None:
                # Known already, and not seen by this: only its own word says that it lives.
                self._subscriptions.follow(component.component_id, hive.url, leased=True)


def tell_of_rival(entry: WorkerEntry) -> None:
    """Log that two workers go by one id."""
    log.warning(
        "Worker id %r is in use on two hives: the one on %r is heard, the one on %r is not. Stop one of them, or start "
        "it again with another id (--worker-id).",
        entry.worker_id,
        entry.sampled_by,
        entry.rival_hive,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
