"""How a hive and a worker process speak: the command line one way, a pipe the other."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import get_args

import msgspec


class WorkerArgs(msgspec.Struct, frozen=True, kw_only=True):
    """The flags of ``python -m rbee.worker``.

    Attributes:
        worker_id: identity in the colony.
        model: name of the model, or its canonical id when `variant` is given.
        engine: registered name of the engine; None lets the model's format decide.
        device: id of the device, or of several with commas between.
        backend: how it is driven, and the others.
        host: address to listen on.
        port: 0 takes a free one.
        socket_fd: a listening socket handed down by the hive, instead of host and port.
        report_fd: a pipe to the hive for the progress of loading.
        queen_url: where to beat; None asks the registry.
        registry_url: where to register; None for nowhere.
        hive_id: the hive that started it.
        parent_pid: the hive's process; None for whoever is the parent when the worker looks.
        model_path: file or folder to open.
        variant: the resolved model as JSON.
        threads: processor threads it may keep busy.
        slots: requests at the same time.
        context_length: tokens a slot; None for the engine's choice.
        options: of the engine, as a JSON object.  A hive passes all of them; of a worker that was started by hand the
            settings of the machine give those that are missing.
        memory_bytes: the most memory of the device that it may use, of several in all; None for no bound.
        device_memory: of several devices, the most bytes of each, in their order, with commas between; None for no
            bound.
    """

    worker_id: str
    model: str
    engine: str | None = None
    device: str = "CPU-0"
    backend: str = "cpu"
    host: str = "127.0.0.1"
    port: int = 0
    socket_fd: int | None = None
    report_fd: int | None = None
    queen_url: str | None = None
    registry_url: str | None = None
    hive_id: str | None = None
    parent_pid: int | None = None
    model_path: str | None = None
    variant: str | None = None
    threads: int = 1
    slots: int | None = None
    context_length: int | None = None
    options: str | None = None
    memory_bytes: int | None = None
    device_memory: str | None = None

    def to_argv(self) -> list[str]:
        """The flags that give these values, defaults left out."""
        argv = []
        for field in msgspec.structs.fields(self):
            value = getattr(self, field.name)
            if value is not None and value != field.default:
                argv += [f"--{field.name.replace('_', '-')}={value}"]
        return argv


class LoadReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the pipe from a loading worker to its hive: a JSON document.

    Attributes:
        stage: what is being done.
        ready: the model is loaded.
        code: error code, when loading failed.
        message: the error for a person.
    """

    stage: str | None = None
    ready: bool = False
    code: str | None = None
    message: str | None = None


def parse(argv: Sequence[str]) -> WorkerArgs:
    """Read the command line; ends the process with usage on nonsense, as argparse does."""
    parser = argparse.ArgumentParser(prog="python -m rbee.worker", description="One engine serving one model.")
    for field in msgspec.structs.fields(WorkerArgs):
        integral = int in (field.type, *get_args(field.type))
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=int if integral else str,
            required=field.required,
            default=None if field.required else field.default,
        )
    return WorkerArgs(**vars(parser.parse_args(argv)))
