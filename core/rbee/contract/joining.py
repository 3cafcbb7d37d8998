"""The checks of what components say of themselves, the same at registry and queen."""

from __future__ import annotations

from collections.abc import Iterable

from rbee.contract.bounds import check_metadata, check_texts, checked_identity
from rbee.contract.errors import InvalidRequestError
from rbee.contract.wire import AggregateHeartbeat, HiveHeartbeat, Registration, WorkerBeat

_SHOWN = 100


def checked_registration(registration: Registration) -> tuple[str, str]:
    """Id and address of a registration.

    Raises:
        InvalidRequestError: one is missing or unusable, or another field is out of bounds; names the field.
    """
    field = "worker_id" if registration.component_id is None and registration.worker_id is not None else "component_id"
    identity = checked_identity(registration.identity, field)
    url = registration.address
    if url is None:
        raise _no_address(registration)
    check_texts(
        hostname=registration.hostname,
        instance_id=registration.instance_id,
        worker_type=registration.worker_type,
        model=registration.model,
        model_ref=registration.model_ref,
        spawned_by=registration.spawned_by,
        backend=registration.backend,
        device=None if registration.device is None else str(registration.device),
        state=registration.state,
        hive_id=registration.hive_id,
    )
    check_metadata(registration.metadata)
    return identity, url


def _no_address(registration: Registration) -> InvalidRequestError:
    """Which of the fields is to blame for a registration without an address."""
    url, hostname, port = registration.url, registration.hostname, registration.port
    if url:
        problem = f"must be http://HOST:PORT or https://HOST:PORT, with a port of 1 to 65535, not {url[:_SHOWN]!r}."
        return InvalidRequestError(f"'url' {problem}", param="url")
    if port is not None and not 0 < port < 65536:
        return InvalidRequestError(f"'port' must be 1 to 65535, not {port}.", param="port")
    if hostname and port is not None:
        told = hostname[:_SHOWN]
        return InvalidRequestError(f"'hostname' must be a name or an address, not {told!r}.", param="hostname")
    if hostname or port is not None:
        given, missing = ("hostname", "port") if hostname else ("port", "hostname")
        return InvalidRequestError(f"{missing!r} is missing besides {given!r}; or give 'url'.", param=missing)
    told = f"Registration of {registration.identity!r}"
    return InvalidRequestError(f"{told} needs 'url', or 'hostname' and 'port'.", param="url")


def check_worker_beat(beat: WorkerBeat) -> None:
    """A worker's beat.

    Raises:
        InvalidRequestError: a field is out of bounds; names it.
    """
    checked_identity(beat.id, "worker.id")
    check_texts(
        model_id=beat.model_id,
        model_name=beat.model_name,
        device=beat.device,
        backend=beat.backend,
        implementation=beat.implementation,
        version=beat.version,
        url=beat.url,
        hive_id=beat.hive_id,
        instance_id=beat.instance_id,
    )


def check_hive_beat(beat: HiveHeartbeat) -> None:
    """A hive's beat of the contract form.

    Raises:
        InvalidRequestError: a field is out of bounds; names it.
    """
    hive = beat.hive
    checked_identity(hive.id, "hive.id")
    check_texts(hostname=hive.hostname, url=hive.url, instance_id=hive.instance_id, version=hive.version)
    _check_workers((worker.worker_id, worker.model) for worker in beat.workers)


def check_aggregate(beat: AggregateHeartbeat) -> None:
    """A hive's beat of the aggregate form.

    Raises:
        InvalidRequestError: a field is out of bounds; names it.
    """
    checked_identity(beat.hive_id, "hive_id")
    for worker in beat.workers:
        check_texts(
            url=worker.url,
            backend=worker.backend,
            health_status=worker.health_status,
            device_id=None if worker.device_id is None else str(worker.device_id),
        )
    _check_workers((worker.worker_id, worker.model_id) for worker in beat.workers)


def _check_workers(workers: Iterable[tuple[str | None, str | None]]) -> None:
    for worker_id, model in workers:
        if worker_id is not None:
            checked_identity(worker_id, "worker_id")
        check_texts(model=model)
