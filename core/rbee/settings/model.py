"""Every setting: name, type, bounds, default and description, once."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from rbee.contract.engine_options import OptionValue
from rbee.contract.patterns import ADDRESS, LABEL

Port = Annotated[int, Meta(ge=0, le=65535)]
Address = Annotated[str, Meta(pattern=ADDRESS)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How every program listens."""

    host: Annotated[
        str,
        Meta(description="Address to listen on. Anything but loopback needs the token for inference too."),
    ] = "127.0.0.1"
    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(description="Further names under which clients may call (the Host header), without port."),
    ] = ()
    allowed_origins: Annotated[
        tuple[str, ...],
        Meta(description="Web origins (scheme://host:port) whose pages may call, besides the program's own."),
    ] = ()
    require_token: Annotated[bool, Meta(description="Ask for the token for inference on loopback as well.")] = False
    tls_certificate: Annotated[
        str | None,
        Meta(
            description="File, in PEM, of a certificate that the queen shows to browsers and SDKs beyond loopback; "
            "unset: her colony's own."
        ),
    ] = None
    tls_key: Annotated[str | None, Meta(description="File, in PEM, of that certificate's private key.")] = None
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least level of log lines kept.")
    ] = "info"
    log_max_mb: Annotated[
        int,
        Meta(
            ge=1,
            le=4096,
            description="Size in MiB from which the log of a program in the background is continued in a new file.",
        ),
    ] = 10
    log_files: Annotated[
        int, Meta(ge=1, le=100, description="Files kept of such a log, the one being written included.")
    ] = 3


class RegistrySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The discovery service."""

    port: Annotated[Port, Meta(description="Port of the registry; 0 takes a free one.")] = 7830
    url: Annotated[
        Address | None, Meta(description="Where the others find the registry; unset for none but `rbee up`'s.")
    ] = None
    store: Annotated[str, Meta(description="Presence store that keeps the leases.")] = "memory"
    heartbeat_s: Annotated[Seconds, Meta(description="Seconds between two renewals of a lease.")] = 15.0
    online_s: Annotated[Seconds, Meta(description="Seconds without renewal after which a lease ends.")] = 30.0


class QueenSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The orchestrator and its gateway."""

    port: Annotated[Port, Meta(description="Port of the queen and the OpenAI API; 0 takes a free one.")] = 7833
    ollama_port: Annotated[
        Port | None,
        Meta(description="Second port of the queen, for clients of Ollama, which ask 11434; unset for none."),
    ] = None
    url: Annotated[Address | None, Meta(description="Where hives and workers find the queen.")] = None
    policy: Annotated[str, Meta(description="Policy that chooses among a model's workers.")] = "balanced"
    max_body_mb: Annotated[int, Meta(ge=1, le=1024, description="Largest inference request accepted, in MiB.")] = 32
    load_timeout_s: Annotated[
        Seconds, Meta(description="Longest time a request waits for its model to be fetched and loaded.")
    ] = 3600.0
    slot_wait_s: Annotated[Seconds, Meta(description="Longest time a request waits for a free slot.")] = 120.0
    turn_s: Annotated[
        Seconds,
        Meta(
            description="How long a request waits for the room of busy workers of other models before these get "
            "nothing new; as long as queen.slot_wait_s: never."
        ),
    ] = 10.0
    processes: Annotated[
        int,
        Meta(
            ge=1, le=64, description="Processes that share the queen's port and carry requests; more than one on Linux."
        ),
    ] = 1
    max_waiting: Annotated[int, Meta(ge=1, le=100_000, description="Requests that may wait for one model.")] = 512
    keep_alive: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=32,
            description="How long an idle worker keeps its model, where neither a request nor `rbee load` says: "
            "seconds, `5m`, `1h30m`; `-1` for as long as nobody needs the room.",
        ),
    ] = "-1"
    replicas: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="Most workers of a model that are started because requests wait for one; 1 starts none.",
        ),
    ] = 4
    replica_wait_s: Annotated[
        Seconds, Meta(description="Time that a request has waited for a slot before another worker is started.")
    ] = 15.0
    replica_idle_s: Annotated[
        Seconds, Meta(description="Time after which such a worker is stopped when nobody asks it.")
    ] = 300.0
    decisions: Annotated[
        int,
        Meta(ge=0, le=1_000_000, description="Requests whose decisions are kept to be explained; 0 keeps none."),
    ] = 1000
    drain_s: Annotated[
        Seconds,
        Meta(description="Longest time open requests get to finish when the queen stops."),
    ] = 10.0
    access_log: Annotated[
        Literal["off", "text", "json"],
        Meta(description="One line a request in the log, at level info: for people, or one JSON object each."),
    ] = "text"
    open_metrics: Annotated[bool, Meta(description="Let GET /metrics be read without the token.")] = False
    beehives_url: Annotated[
        str | None,
        Meta(description="Data base for the list of hives, as an SQLAlchemy URL; unset for the file `beehives.db`."),
    ] = None


class HiveSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One machine's executor."""

    port: Annotated[Port, Meta(description="Port of the hive; 0 takes a free one.")] = 7835
    id: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")] | None,
        Meta(description="Name of the hive; unset for the machine's host name."),
    ] = None
    labels: Annotated[
        tuple[Annotated[str, Meta(pattern=LABEL)], ...],
        Meta(max_length=32, description="Labels of the machine, as `room=attic`, for `rbee load --where`."),
    ] = ()
    worker_port_first: Annotated[int, Meta(ge=1024, le=65535, description="First port tried for a worker.")] = 8080
    worker_port_last: Annotated[int, Meta(ge=1024, le=65535, description="Last port tried for a worker.")] = 8200
    threads: Annotated[
        Annotated[int, Meta(ge=1, le=4096)] | None,
        Meta(
            description="Processor threads for all workers together, a limit; unset for as many as there are cores, "
            "and one for each worker beyond."
        ),
    ] = None
    worker_threads: Annotated[
        Annotated[int, Meta(ge=1, le=4096)] | None,
        Meta(description="Most threads one worker gets, as far as they are free; unset for half of the free ones."),
    ] = None
    memory_share: Annotated[
        float,
        Meta(
            ge=0.05,
            le=16,
            description="Times a device's memory that workers are promised in all; below 1 leaves some to others, "
            "above 1 trusts workers to need less than estimated.",
        ),
    ] = 1.0
    telemetry_s: Annotated[Seconds, Meta(description="Seconds between two samples.")] = 1.0
    probe_timeout_s: Annotated[
        Seconds, Meta(description="Longest time a sample waits for a probe; its figures are unknown when it is late.")
    ] = 0.5
    start_timeout_s: Annotated[Seconds, Meta(description="Longest time a worker may take to load its model.")] = 900.0
    worker_memory_max_mb: Annotated[
        Annotated[int, Meta(ge=1, le=1 << 30)] | None,
        Meta(description="Most memory a worker may use, in MiB, where control groups can be made; unset for no limit."),
    ] = None
    worker_cpu_max: Annotated[
        Annotated[float, Meta(ge=0.01, le=4096)] | None,
        Meta(description="Most cores a worker may keep busy, likewise, as `1.5`; unset for no limit."),
    ] = None
    log_max_mb: Annotated[
        int, Meta(ge=1, le=4096, description="Size in MiB from which a worker's log is continued in a new file.")
    ] = 10
    log_files: Annotated[
        int, Meta(ge=1, le=100, description="Files kept of a worker's log, the one being written included.")
    ] = 3
    log_keep: Annotated[
        int, Meta(ge=0, le=100_000, description="Workers that have ended whose logs are kept; the newest stay.")
    ] = 50
    log_days: Annotated[
        float, Meta(gt=0, le=36_500, description="Days after which the log of a worker that has ended is deleted.")
    ] = 7.0


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The process around one engine."""

    slots: Annotated[int, Meta(ge=1, le=1024, description="Requests a worker serves at the same time.")] = 4
    context_length: Annotated[
        Annotated[int, Meta(ge=16, le=16_777_216)] | None,
        Meta(description="Tokens a slot; unset for the engine's choice."),
    ] = None
    heartbeat_s: Annotated[Seconds, Meta(description="Seconds between two beats to the queen.")] = 5.0
    orphan_s: Annotated[
        Seconds,
        Meta(description="Seconds without hive and queen after which a worker that a hive started stops."),
    ] = 20.0
    drain_s: Annotated[Seconds, Meta(description="Longest time open requests get to finish when a worker stops.")] = (
        10.0
    )


class TelemetrySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the queen takes silence for absence."""

    worker_stale_s: Annotated[Seconds, Meta(description="Age of a worker's beat from which it is stale.")] = 15.0
    worker_gone_s: Annotated[Seconds, Meta(description="Age from which a worker is gone.")] = 30.0
    hive_degraded_s: Annotated[Seconds, Meta(description="Age of a hive's beat from which it is degraded.")] = 3.0
    hive_down_s: Annotated[Seconds, Meta(description="Age of a hive's beat from which it is down.")] = 10.0
    cleanup_s: Annotated[Seconds, Meta(description="Age from which a silent record is forgotten.")] = 60.0


class SecuritySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Certificates between machines."""

    certificate_hours: Annotated[
        float,
        Meta(ge=0.001, le=8760, description="Hours for which a program's certificate holds; renewed at half of them."),
    ] = 24.0
    renewal_grace_hours: Annotated[
        float, Meta(ge=0, le=2160, description="Hours after its end in which a certificate may still be renewed.")
    ] = 168.0
    invite_minutes: Annotated[
        float, Meta(gt=0, le=10_080, description="Minutes for which an invitation holds when nothing else is said.")
    ] = 30.0
    approve_hives: Annotated[
        bool, Meta(description="Whether a machine that was invited waits for `rbee hive approve`.")
    ] = False


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings; groups are tables of ``config.toml``.

    Attributes:
        engines: options by engine, tables ``[engines.NAME]``; checked when a worker is started, since it is the engine
            that knows them, and it may not be installed.
    """

    server: ServerSettings = ServerSettings()
    registry: RegistrySettings = RegistrySettings()
    queen: QueenSettings = QueenSettings()
    hive: HiveSettings = HiveSettings()
    worker: WorkerSettings = WorkerSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    security: SecuritySettings = SecuritySettings()
    engines: dict[str, dict[str, OptionValue]] = {}
