"""How a message changes a worker's record: each field from one source, and late words lose."""

from __future__ import annotations

import contextlib
from types import MappingProxyType

from rbee.contract.types import WorkerState
from rbee.contract.wire import Registration, WorkerBeat
from rbee.telemetry.records import WorkerEntry

_BEAT_DELAY_S = 2.0
_STATES = MappingProxyType({str(state): state for state in WorkerState})


def state_called(word: str) -> WorkerState:
    """As `WorkerState.parse`, at once for a word as rbee writes it.

    Raises:
        ValueError: when the word names no state.
    """
    return _STATES.get(word) or WorkerState.parse(word)


def state_or(word: str | None, otherwise: WorkerState) -> WorkerState:
    """The state that is named, else `otherwise`: an odd word of somebody else's does no harm."""
    if word:
        with contextlib.suppress(ValueError):
            return state_called(word)
    return otherwise


def is_late(entry: WorkerEntry, beat: WorkerBeat, *, beating: bool) -> bool:
    """Whether a beat is older than what is known: of a superseded instance, or not above the last number.

    Args:
        entry: what is known.
        beat: what is told.
        beating: whether the worker has been heard lately.  One that does not name its instance and has been silent may
            have been started anew, and then counts from the beginning.
    """
    if beat.instance_id is not None and beat.instance_id == entry.superseded:
        return True
    if beat.instance_id is None and not beating:
        return False
    known, told = entry.seq, beat.seq
    return beat.instance_id == entry.instance_id and told is not None and known is not None and told <= known


def successor(entry: WorkerEntry) -> WorkerEntry:
    """The record of a new process under the same id.

    Requests sent to the old one end one by one and are released one by one, so they still count; a late beat of the
    old one must not be taken for yet another.
    """
    return WorkerEntry(
        worker_id=entry.worker_id,
        spawned_by=entry.spawned_by,
        sample=entry.sample,
        sampled_by=entry.sampled_by,
        rival_hive=entry.rival_hive,
        rival_at=entry.rival_at,
        vram_free_mb=entry.vram_free_mb,
        reserved=entry.reserved,
        superseded=entry.instance_id,
    )


def apply_identity(entry: WorkerEntry, registration: Registration) -> None:
    """The fields that registration owns: address, origin, process."""
    entry.url = registration.address or entry.url
    entry.spawned_by = registration.spawned_by or entry.spawned_by
    entry.hive_id = registration.hive_id or _spawning_hive(registration.spawned_by) or entry.hive_id
    entry.instance_id = registration.instance_id or entry.instance_id
    entry.pid = registration.pid or entry.pid


def apply_first_words(entry: WorkerEntry, registration: Registration) -> None:
    """What a registration says of fields that the worker's beats own; counts until the first of these."""
    entry.voice = "registration"
    entry.model_id = registration.model or registration.model_ref or entry.model_id
    name = registration.metadata.get("model_name")
    entry.model_name = name if isinstance(name, str) and name else entry.model_name
    # Spawners that only notify once the worker is healthy say no state.
    silent = WorkerState.READY if entry.state is WorkerState.STARTING else entry.state
    entry.state = state_or(registration.state, silent)
    entry.backend = registration.backend or entry.backend
    # Without it all who wait would be sent there in the moment between this and the worker's first word.
    entry.slots_total = registration.slots_total or entry.slots_total
    if registration.device is not None:
        entry.device = str(registration.device)


def apply_beat(entry: WorkerEntry, beat: WorkerBeat, now: float) -> None:
    """The worker's own words.

    Raises:
        ValueError: when its status names no state.
    """
    entry.state = state_called(beat.status)
    entry.voice = "worker"
    entry.failed_at = None
    entry.instance_id, entry.seq = beat.instance_id or entry.instance_id, beat.seq
    entry.url = beat.url or entry.url or f"http://127.0.0.1:{beat.port}"
    entry.model_id, entry.model_name = beat.model_id, beat.model_name
    entry.device, entry.backend = beat.device, beat.backend
    entry.implementation, entry.version = beat.implementation, beat.version
    entry.hive_id = beat.hive_id or entry.hive_id
    entry.slots_total, entry.slots_available = beat.slots_total, beat.slots_available
    entry.queue_depth, entry.tokens_per_second = beat.queue_depth, beat.tokens_per_second
    entry.context_length, entry.capabilities = beat.context_length, beat.capabilities
    entry.stage, entry.pid = beat.stage, beat.pid or entry.pid
    if beat.slots_total is not None and beat.slots_available is not None:
        # A request that ended while the beat was on its way still shows in it.
        ended = sum(1 for moment in entry.ended_at if now - moment < _BEAT_DELAY_S) if entry.ended_at else 0
        entry.external = max(0, beat.slots_total - beat.slots_available - entry.reserved - ended)


def _spawning_hive(spawned_by: str | None) -> str | None:
    return spawned_by.removeprefix("hive-") if spawned_by and spawned_by.startswith("hive-") else None
