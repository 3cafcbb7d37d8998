"""Files of fleets and loads, with one clear line for whatever is wrong in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from rbee.contract.errors import InvalidRequestError, NotFoundError
from rbee.simulation.fleet import Fleet
from rbee.simulation.load import Load
from rbee.simulation.requests import Recorded

T = TypeVar("T")

_LARGEST = 4 * 1024 * 1024
_LARGEST_RECORDING = 1024 * 1024 * 1024
_WHERE = re.compile(r"(?P<what>.*?)(?: - at (?P<key>`key` in )?`(?P<path>[^`]*)`)?\Z", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>.*)`\Z", re.DOTALL)


def read_fleet(path: Path) -> Fleet:
    """The fleet in a file.

    Raises:
        NotFoundError: there is no such file.
        InvalidRequestError: it cannot be read or is no fleet; names the field and what is allowed.
    """
    fleet = _read(path, Fleet)
    _once(path, "hives", [group.name for group in fleet.hives])
    for place, group in enumerate(fleet.hives):
        if group.processor is None and not group.gpus:
            raise InvalidRequestError(
                f"{path}: hives[{place}]: give `processor`, `gpus` or both: nothing computes there."
            )
    return fleet


def read_load(path: Path) -> Load:
    """The load in a file; raises as `read_fleet`."""
    load = _read(path, Load)
    _once(path, "models", [name for model in load.models for name in {model.name, *model.names()}])
    _once(path, "keys", [key.name for key in load.keys])
    return load


def read_recorded(path: Path, load: Load) -> list[Recorded]:
    """The arrivals that a load names; none where it draws them.

    Args:
        path: of the load.
        load: from there.

    Raises:
        NotFoundError: there is no such file.
        InvalidRequestError: a line is wrong; names it.
    """
    if load.arrivals.recorded is None:
        return []
    names = {name for model in load.models for name in model.names()}
    file = path.parent / load.arrivals.recorded
    decoder = msgspec.json.Decoder(Recorded)
    found: list[Recorded] = []
    for number, line in enumerate(_bytes(file, _LARGEST_RECORDING).splitlines(), 1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            one = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidRequestError(f'{where} is no arrival, as {{"at": 0.5, "model": "NAME"}}: {error}.') from error
        if one.model is not None and one.model not in names:
            raise InvalidRequestError(f"{where}: there is no model {one.model!r} in {path}; there are: {_some(names)}.")
        least = found[-1].at if found else 0.0
        if not one.at >= least:
            raise InvalidRequestError(
                f"{where}: `at` is {one.at:g} and has to be {least:g} or more: lines are in order."
            )
        for field in ("prompt_tokens", "answer_tokens"):
            value = getattr(one, field)
            if value is not None and not 1 <= value <= 1_000_000:
                raise InvalidRequestError(f"{where}: `{field}` is {value} and has to be from 1 to 1000000.")
        if one.at < load.duration_s:
            found.append(one)
    if not found:
        raise InvalidRequestError(f"{file}: no arrival is within `duration_s`, {load.duration_s:g} s, of {path}.")
    return found


def check_together(fleet: Fleet, fleet_path: Path, load: Load, load_path: Path) -> None:
    """Raise InvalidRequestError when a fleet names a model that the load does not."""
    known = {name for model in load.models for name in (model.name, *model.names())}
    for place, group in enumerate(fleet.hives):
        for field, names in (("models", group.models), ("workers", tuple(group.workers))):
            for name in names:
                if name not in known:
                    raise InvalidRequestError(
                        f"{fleet_path}: hives[{place}].{field} names the model {name!r}, which is not in {load_path}; "
                        f"there are: {_some(known)}."
                    )


def _read(path: Path, kind: type[T]) -> T:
    try:
        # Not the loader written in C: it ends the program where too many brackets are open.
        raw = yaml.safe_load(_bytes(path, _LARGEST))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark is not None else str(path)
        problem = getattr(error, "problem", None) or "it is not text"
        raise InvalidRequestError(f"{where}: this is no YAML: {problem}.") from error
    except RecursionError as error:
        raise InvalidRequestError(f"{path}: too many brackets are open in it.") from error
    except ValueError as error:
        raise InvalidRequestError(f"{path}: this is no YAML: {error}.") from error
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"{path}: {_told(str(error), kind)}.") from error


def _bytes(path: Path, largest: int) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(largest + 1)
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {str(path)!r}.") from error
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be read: {error.strerror}.") from error
    if len(raw) > largest:
        raise InvalidRequestError(f"{path} is larger than {largest // 1024**2} MiB.")
    return raw


def _told(message: str, kind: type) -> str:
    """A message of msgspec's with the field before what is wrong, and what is allowed behind."""
    found = _WHERE.match(message)
    what, path = (found["what"], found["path"]) if found is not None else (message, None)
    if found is not None and found["key"]:
        what = f"a name of a field there: {what[:1].lower()}{what[1:]}"
    steps = (path or "$").removeprefix("$").lstrip(".")
    unknown = _UNKNOWN.match(what)
    if unknown is not None:
        there = steps + "." if steps else ""
        return f"there is no field `{there}{unknown['field']}`; fields are: {', '.join(_fields(kind, steps))}"
    return f"{steps}: {what[:1].lower()}{what[1:]}" if steps else f"{what[:1].lower()}{what[1:]}"


def _fields(kind: Any, steps: str) -> list[str]:
    """Names of the fields of what stands at a path, as ``hives[0].gpus[...]``."""
    info = msgspec.inspect.type_info(kind)
    for step in re.findall(r"[^.\[\]]+|\[[^\]]*\]", steps):
        info = _below(info, step)
    return [field.encode_name for field in getattr(_struct(info), "fields", ())]


def _below(info: Any, step: str) -> Any:
    if step.startswith("["):
        for one in _either(info):
            inner = getattr(one, "item_type", None) or getattr(one, "value_type", None)
            if inner is not None:
                return inner
        return info
    return next((field.type for field in getattr(_struct(info), "fields", ()) if field.encode_name == step), info)


def _struct(info: Any) -> Any:
    return next((one for one in _either(info) if isinstance(one, msgspec.inspect.StructType)), None)


def _either(info: Any) -> tuple[Any, ...]:
    return tuple(info.types) if isinstance(info, msgspec.inspect.UnionType) else (info,)


def _once(path: Path, field: str, names: list[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None) if len(names) > len(set(names)) else None
    if twice is not None:
        raise InvalidRequestError(f"{path}: {field}: the name {twice!r} stands there twice; each has one of its own.")


def _some(names: set[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:12]) + (f" and {len(ordered) - 12} more" if len(ordered) > 12 else "")
