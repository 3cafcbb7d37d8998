"""A fleet as a file tells it: groups of machines that are alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=1, le=100_000)]
Gib = Annotated[float, Meta(gt=0, le=1_000_000)]
Speed = Annotated[float, Meta(gt=0, le=10_000_000)]
Streams = Annotated[int, Meta(ge=1, le=1024)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")]


class Compute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How quick a processor or a GPU is, with a model of the fleet's `reference_gib` of weights.

    Speeds go down, and the seconds of a load up, in proportion to a model's weights: all of them are read for each
    token, and computed with for each token of a prompt.

    Attributes:
        prefill_tok_s: tokens of prompts that are computed a second, of all prompts together.
        decode_tok_s: tokens a second that each answer gets, by the number of answers at the same time, as ``rbee
            bench`` measures it; one number for one that does not fall.  Between two that are told it is interpolated,
            beyond the last one what that comes to in all is shared.
        load_s: seconds from the start of a worker until it serves.
    """

    prefill_tok_s: Speed
    decode_tok_s: Speed | Annotated[dict[Streams, Speed], Meta(min_length=1, max_length=64)]
    load_s: Annotated[float, Meta(ge=0, le=86_400)] = 10.0


class Gpu(Compute, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GPUs of a machine that are alike.

    Attributes:
        count: how many.
        memory_gib: of each; with the backend ``metal`` it is memory of the machine.
        backend: how it is driven.
        name: what its maker calls it.
    """

    memory_gib: Gib
    count: Annotated[int, Meta(ge=1, le=64)] = 1
    backend: Name = "cuda"
    name: str = "GPU"


class HiveGroup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Machines that are alike.

    Attributes:
        name: theirs; a number is put behind it.
        count: how many.
        ram_gib: memory of each.
        threads: processor threads of each that workers may have.
        worker_threads: most of these for one worker; None for half of the free ones.
        slots: requests that a worker there serves at the same time; None for the setting ``worker.slots``.
        processor: speed of workers on the processor; None when there are none.
        gpus: of each.
        formats: of models, that an engine there opens.
        spread: an engine there spreads a model that fits none of its GPUs over several of one backend.
        fetch_mib_s: MiB of a model that it fetches a second.
        models: what lies on its disk.
        workers: how many of each model it runs at the beginning; their models lie on the disk, too.
    """

    name: Name
    count: Count = 1
    ram_gib: Gib
    threads: Annotated[int, Meta(ge=1, le=4096)]
    worker_threads: Annotated[int, Meta(ge=1, le=4096)] | None = None
    slots: Streams | None = None
    processor: Compute | None = None
    gpus: tuple[Gpu, ...] = ()
    formats: Annotated[tuple[Name, ...], Meta(min_length=1)] = ("gguf",)
    spread: bool = False
    fetch_mib_s: Speed = 50.0
    models: tuple[str, ...] = ()
    workers: dict[str, Annotated[int, Meta(ge=0, le=1024)]] = {}


class Fleet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All machines.

    Attributes:
        hives: groups of them.
        reference_gib: weights of the model for which speeds are told.
    """

    hives: Annotated[tuple[HiveGroup, ...], Meta(min_length=1, max_length=1000)]
    reference_gib: Gib = 4.0


def blended(parts: Sequence[tuple[Compute, float]], slots: int) -> Compute:
    """How quick GPUs are together, each of which computes a part of every token's layers, one after the other.

    Args:
        parts: of the GPUs, with the part of the model that each has; they come to 1.
        slots: of the worker.
    """
    curves = [decode_curve(compute, slots, 1.0) for compute, _ in parts]
    weights = [part for _, part in parts]
    return Compute(
        prefill_tok_s=_together([compute.prefill_tok_s for compute, _ in parts], weights),
        decode_tok_s={
            count: _together(list(speeds), weights) for count, speeds in enumerate(zip(*curves, strict=True), 1)
        },
        load_s=sum(compute.load_s * part for compute, part in parts),
    )


def _together(speeds: Sequence[float], weights: Sequence[float]) -> float:
    return 1.0 / sum(part / speed for speed, part in zip(speeds, weights, strict=True))


def decode_curve(compute: Compute, slots: int, scale: float) -> tuple[float, ...]:
    """Tokens a second that each answer gets, for 1, 2, ... `slots` at the same time.

    Args:
        compute: of the device.
        slots: of the worker.
        scale: by which speeds are multiplied, for the size of the model.
    """
    told = compute.decode_tok_s
    points = sorted(told.items()) if isinstance(told, dict) else [(slots, told)]
    return tuple(_at(points, count) * scale for count in range(1, slots + 1))


def _at(points: list[tuple[int, float]], count: int) -> float:
    before = [point for point in points if point[0] <= count]
    after = [point for point in points if point[0] >= count]
    if not before:
        return points[0][1]
    if not after:
        most, speed = points[-1]
        return speed * most / count
    (low, at_low), (high, at_high) = before[-1], after[0]
    return at_low if low == high else at_low + (at_high - at_low) * (count - low) / (high - low)
