"""Building and running one worker."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rbee.clients import Credentials
from rbee.contract.devices import shares_from
from rbee.contract.engine import Engine, ServedEngine
from rbee.contract.engine_options import OptionValue, checked_options
from rbee.contract.errors import ConfigurationError, EngineUnavailableError, InvalidRequestError, RbeeError
from rbee.contract.token_engine import TokenEngine
from rbee.contract.types import LoadSpec, ModelVariant
from rbee.contract.worker_args import LoadReport, WorkerArgs, parse
from rbee.http.guard import Guard, is_loopback
from rbee.http.ports import listen, port_of, url_of
from rbee.http.server import HttpServer
from rbee.plugins import Plugins, load_plugins
from rbee.settings import Folders, Settings, load_settings, load_token
from rbee.trust.names import Role
from rbee.trust.spawned import HASH_VARIABLE, SPAWN_VARIABLE
from rbee.worker.app import make_app
from rbee.worker.beats import Beats
from rbee.worker.face import EngineFace
from rbee.worker.host import WorkerHost
from rbee.worker.report import ReportPipe
from rbee.worker.served import ServedFace
from rbee.worker.tokens.face import TokenFace

if TYPE_CHECKING:
    from rbee.trust.identity import Identity

log = logging.getLogger(__name__)

_CHATTY = ("httpx2", "httpcore2", "uvicorn")
"""Libraries that would write a line for every beat."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a worker until it is told to stop; exits 1 with one line on a known error."""
    args = parse(sys.argv[1:] if argv is None else argv)
    pipe = ReportPipe(args.report_fd)
    try:
        asyncio.run(_run(args, pipe))
    except RbeeError as error:
        pipe.send(LoadReport(code=error.code, message=error.message))
        sys.stderr.write(f"rbee worker: {error.message}\n")
        raise SystemExit(1) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    finally:
        pipe.close()


async def _run(args: WorkerArgs, pipe: ReportPipe) -> None:
    folders = Folders.locate(os.environ)
    settings = load_settings(folders.config_file, os.environ).settings
    logging.basicConfig(
        level=settings.server.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Taken out: what the engine starts inherits the environment.
    own, colony_hash = os.environ.pop(SPAWN_VARIABLE, None), os.environ.pop(HASH_VARIABLE, None)
    # Who was not started by a hive, or by one without the colony's token, looks for that itself.
    token = load_token(folders.token_file, os.environ) if colony_hash is None else None
    plugins = load_plugins(os.environ.get("RBEE_PLUGINS"))
    spec = _spec(args, settings, plugins)
    engine = _engine(args, spec, plugins)
    kept = str(folders.state / "engines" / engine.name)
    spec = msgspec.structs.replace(spec, options=_options(args, settings, engine), keep_in=kept)
    sock = _socket(args)
    url = url_of(args.host, port_of(sock))
    max_body = settings.queen.max_body_mb * 1024 * 1024
    host = WorkerHost(args.worker_id, engine, _face(engine, spec, args.worker_id, max_body), spec, url, args.hive_id)
    guard = Guard(
        token=token,
        token_sha256=colony_hash,
        host=args.host,
        allowed_hosts=settings.server.allowed_hosts,
        allowed_origins=settings.server.allowed_origins,
        require_token=settings.server.require_token,
        role=Role.WORKER,
    )
    identity = None if is_loopback(args.host) else _identity(args.host)
    server = HttpServer(make_app(host, guard, max_body), sock, grace_s=1, tls=identity)
    await server.start()
    renewed = asyncio.create_task(_take_renewed(identity), name="certificate")
    beats = Beats(
        host,
        settings,
        Credentials(own or token, identity),
        args.queen_url,
        args.registry_url,
        args.hive_id,
        args.parent_pid,
    )
    try:
        await _live(host, beats, pipe, settings)
    finally:
        renewed.cancel()
        await server.stop()


def _identity(host: str) -> Identity:
    """What the worker shows to others.

    Raises:
        ConfigurationError: nothing was given.
    """
    from rbee.trust.identity import Identity

    folder = os.environ.get("RBEE_IDENTITY")
    if not folder:
        raise ConfigurationError(
            f"A worker that listens on {host} needs a certificate: let a hive of the colony start it, or listen on "
            "127.0.0.1."
        )
    found = Identity(Path(folder))
    found.open()
    return found


async def _take_renewed(identity: Identity | None) -> None:
    """Its hive renews the certificate in its file."""
    if identity is None:
        return
    while True:
        await asyncio.sleep(identity.look_s())
        try:
            identity.take_renewed()
        except ConfigurationError as error:
            log.warning("a renewed certificate is not used: %s", error)


async def _live(host: WorkerHost, beats: Beats, pipe: ReportPipe, settings: Settings) -> None:
    """Load, serve, and stop in order, whatever ends it.

    Raises:
        RbeeError: the engine could not load, or has died since.
    """
    _stop_on_signals(host)
    background = asyncio.create_task(beats.run())
    loading = asyncio.create_task(host.load(lambda stage: pipe.send(LoadReport(stage=stage))))
    died = asyncio.create_task(host.engine_died())
    ends: list[asyncio.Task[Any]] = [
        asyncio.create_task(host.shutdown_asked.wait()),
        asyncio.create_task(beats.orphaned.wait()),
        died,
    ]
    try:
        await asyncio.wait([loading, *ends], return_when=asyncio.FIRST_COMPLETED)
        if not loading.done():
            # No engine can be stopped in the middle of loading; leaving the process is what stops it.
            log.info("stopped while loading")
            # First, or a last beat enters the worker again behind its good-bye.
            background.cancel()
            await asyncio.gather(background, return_exceptions=True)
            await beats.leave()
            os._exit(0)
        await loading
        pipe.send(LoadReport(ready=True))
        pipe.close()
        log.info("worker %s serves %s at %s", host.worker_id, host.spec.model_id, host.url)
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if died.done():
            # Nothing is left to drain, and the memory is wanted: the hive starts another worker where one is needed.
            error = await died
            log.error("worker %s leaves: %s", host.worker_id, error.message)
            raise error
        await host.drain(settings.worker.drain_s)
    finally:
        for task in (background, loading, *ends):
            task.cancel()
        await asyncio.gather(background, *ends, return_exceptions=True)
        await beats.leave()
        await host.stop(settings.worker.drain_s)


def _stop_on_signals(host: WorkerHost) -> None:
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(name, host.shutdown_asked.set)


def _spec(args: WorkerArgs, settings: Settings, plugins: Plugins) -> LoadSpec:
    variant = _variant(args, plugins)
    try:
        devices = shares_from(args.device, args.device_memory)
    except ValueError as error:
        raise InvalidRequestError(
            f"--device-memory={args.device_memory} is no number of bytes for each of {args.device}.",
            param="device_memory",
        ) from error
    return LoadSpec(
        model_id=variant.model_id,
        model_path=args.model_path or variant.in_place,
        variant=variant,
        device=devices[0].device if devices else args.device,
        devices=devices,
        backend=args.backend,
        threads=args.threads,
        slots=args.slots or settings.worker.slots,
        context_length=args.context_length or settings.worker.context_length,
        memory_bytes=args.memory_bytes,
    )


def _variant(args: WorkerArgs, plugins: Plugins) -> ModelVariant:
    """The model: as the hive resolved it, or, for a worker started by hand, as the vendors do."""
    if args.variant is not None:
        return msgspec.json.decode(args.variant, type=ModelVariant)
    for cls in plugins.registrations.model_vendors.things():
        vendor = cls()
        if vendor.supports(args.model):
            variant = vendor.resolve(args.model)[0]
            if variant.files and variant.in_place is None and args.model_path is None:
                raise InvalidRequestError(
                    f"Model {args.model!r} must be fetched first; let a hive start the worker: rbee run {args.model}"
                )
            return variant
    raise InvalidRequestError(f"No installed vendor knows the model {args.model!r}.", param="model")


def _engine(args: WorkerArgs, spec: LoadSpec, plugins: Plugins) -> type[Engine]:
    shelf = plugins.registrations.engines
    opening = [cls for cls in shelf.things() if spec.variant.format in cls.formats]
    if args.engine is not None:
        chosen = shelf.get(args.engine)
    elif opening:
        chosen = opening[0]
    else:
        raise EngineUnavailableError(f"No installed engine opens the format {spec.variant.format!r}.")
    found = chosen.availability()
    if not found.available:
        raise EngineUnavailableError(found.reason or f"Engine {chosen.name!r} is not available here.")
    if spec.devices and spec.backend not in chosen.splits:
        raise EngineUnavailableError(
            f"Engine {chosen.name!r} spreads no model over several devices driven by {spec.backend}; name one device."
        )
    return chosen


def _options(args: WorkerArgs, settings: Settings, engine: type[Engine]) -> dict[str, OptionValue]:
    """Checked here too: a worker may have been started by hand."""
    try:
        given = msgspec.json.decode(args.options, type=dict[str, Any]) if args.options is not None else {}
    except msgspec.DecodeError as error:
        raise InvalidRequestError(f"--options is not a JSON object: {error}.", param="options") from error
    # A hive has merged them already, perhaps from settings that have changed since it started.
    own = settings.engines.get(engine.name, {}) if args.hive_id is None else {}
    return checked_options(engine.name, engine.options, {**own, **given})


def _face(engine: type[Engine], spec: LoadSpec, worker_id: str, max_body: int) -> EngineFace:
    made = engine()
    if isinstance(made, ServedEngine):
        return ServedFace(made, spec, worker_id, max_body)
    if isinstance(made, TokenEngine):
        return TokenFace(made, spec, max_body=max_body)
    raise EngineUnavailableError(f"Engine {engine.name!r} is neither a ServedEngine nor a TokenEngine.")


def _socket(args: WorkerArgs) -> socket.socket:
    if args.socket_fd is not None:
        sock = socket.socket(fileno=args.socket_fd)
        sock.setblocking(False)
        return sock
    return listen(args.host, args.port, f"worker {args.worker_id}")
