"""What may be set for a worker of either engine, and what a load makes of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from rbee.contract import EngineOption, LoadSpec
from rbee.contract.errors import InvalidRequestError

from rbee_exllamav2.preflight import model_folder

Number = TypeVar("Number", int, float)

PAGE: Final = 256
"""Tokens of a page of both libraries' caches."""
_GIB: Final = 1024**3
CACHES: Final = ("FP16", "Q8", "Q6", "Q4")
MOST_DRAFT_TOKENS: Final = 7
"""With the token that they continue, the eight that the libraries compute at once for a request."""

OPTIONS: Final = (
    EngineOption(
        name="cache_tokens",
        kind="int",
        help="Tokens that the cache holds, of all requests together: a multiple of 256. Left out, the context of every "
        "slot.",
        low=PAGE,
    ),
    EngineOption(
        name="cache_type",
        kind="text",
        help="How keys and values are kept: fewer bits need less memory and are less exact.",
        default="FP16",
        choices=CACHES,
    ),
    EngineOption(
        name="gpus",
        kind="text",
        help="Numbers of the GPUs that the model is spread over, as in 0,1. Left out, the worker's devices alone.",
    ),
    EngineOption(
        name="gpu_split",
        kind="text",
        help="GiB to fill on each of these GPUs, as in 20,24. Left out, one after the other as far as they are free.",
    ),
    EngineOption(
        name="tensor_parallel",
        kind="bool",
        help="Split every layer over the GPUs instead of giving each some of the layers.",
        default=False,
    ),
    EngineOption(
        name="draft_model",
        kind="text",
        help="Folder of a small model with the same vocabulary, whose guesses the model checks several at a time.",
    ),
    EngineOption(
        name="draft_tokens",
        kind="int",
        help="Tokens guessed at a time.",
        default=4,
        low=1,
        high=MOST_DRAFT_TOKENS,
    ),
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A load, with everything in it checked that can be checked without the library.

    Attributes:
        folder: of the model.
        gpus: numbers of the cards; the worker's own among them.
        limits: bytes of each of `gpus` that may be used; None for one that nobody has bounded.
        split: GiB on each of `gpus`, as a person has set them; empty to go by `shares`.
        shares: GiB of each of `gpus` that the hive has given; empty to fill them as they are free.
        draft: folder of the draft model; None for none.
        draft_tokens: guessed at a time; 0 without a draft model.
        others: as in `LoadSpec`, and as the options say.
    """

    folder: Path
    gpus: tuple[int, ...]
    limits: tuple[int | None, ...]
    slots: int
    threads: int
    context_length: int | None
    cache_tokens: int | None
    cache_type: str
    split: tuple[float, ...]
    shares: tuple[float, ...]
    tensor_parallel: bool
    draft: Path | None
    draft_tokens: int


def plan_of(spec: LoadSpec, engine: str) -> Plan:
    """What to load, and how.

    Raises:
        ModelFileError: there is no model where the specification points.
        InvalidRequestError: an option says something that cannot be; the message says what can.
    """
    options = spec.options
    own = tuple(map(_number, spec.device_ids))
    gpus = _numbers("gpus", options.get("gpus"), int) or own
    for device, number in zip(spec.device_ids, own, strict=True):
        if number not in gpus:
            raise _refused("gpus", f"leaves out {device}, the worker's own device; add {number}")
    split = _numbers("gpu_split", options.get("gpu_split"), float)
    if split and len(split) != len(gpus):
        raise _refused("gpu_split", f"has {len(split)} numbers for {len(gpus)} GPUs; give one for each")
    bounds = [share.memory_bytes for share in spec.devices] or [spec.memory_bytes]
    allowed = dict(zip(own, bounds, strict=True))
    limits = tuple(allowed.get(number) for number in gpus)
    given = [limit for limit in limits if limit is not None]
    cache_tokens = options.get("cache_tokens")
    if isinstance(cache_tokens, int) and cache_tokens % PAGE:
        near = (cache_tokens // PAGE + 1) * PAGE
        raise _refused("cache_tokens", f"takes multiples of {PAGE}, and {cache_tokens} is none; try {near}")
    draft = options.get("draft_model")
    return Plan(
        folder=model_folder(spec.model_path, spec.model_id, engine),
        gpus=gpus,
        limits=limits,
        slots=spec.slots,
        threads=spec.threads,
        context_length=spec.context_length,
        cache_tokens=int(cache_tokens) if cache_tokens is not None else None,
        cache_type=str(options.get("cache_type", "FP16")),
        split=split,
        shares=tuple(limit / _GIB for limit in given) if len(given) == len(gpus) > 1 else (),
        tensor_parallel=bool(options.get("tensor_parallel", False)),
        draft=model_folder(str(draft), str(draft), engine) if draft else None,
        draft_tokens=int(options.get("draft_tokens", 4)) if draft else 0,
    )


def _number(device: str) -> int:
    found = re.search(r"(\d+)\Z", device)
    return int(found[1]) if found else 0


def _numbers(name: str, value: object, kind: type[Number]) -> tuple[Number, ...]:
    text = str(value or "").strip()
    try:
        numbers = tuple(kind(part) for part in text.split(",")) if text else ()
    except ValueError:
        numbers = (kind(-1),)
    if any(number < 0 for number in numbers) or (kind is int and len(set(numbers)) < len(numbers)):
        raise _refused(name, f"takes numbers with commas between them, and no {value!r}; try 0,1")
    return numbers


def _refused(name: str, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"The option {name!r} {why}.", param=f"options.{name}")
