"""Where records come from: those of this package, and files of the person who uses it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import msgspec

from rbee_path.record import EngineRecord, parse_record

_LARGEST = 64 * 1024
_MOST = 64
_ODD = re.compile(r"[^a-z0-9_-]+")


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is no record.

    Attributes:
        name: what the engine is called instead.
        reason: names the file and the field.
    """

    name: str
    reason: str


def user_folder(environ: Mapping[str, str]) -> Path:
    """The folder for a person's own records: ``engines`` beside rbee's configuration.

    Args:
        environ: `RBEE_HOME` counts, as for rbee itself.
    """
    if home := environ.get("RBEE_HOME"):
        return Path(home).expanduser() / "config" / "engines"
    import platformdirs

    return Path(platformdirs.user_config_dir("rbee", appauthor=False)) / "engines"


def read_records(folder: Path) -> list[EngineRecord | Broken]:
    """All records, a person's own in place of one of this package by the same name.

    Args:
        folder: of a person's own; need not be there.
    """
    shipped = {one.name: one for one in shipped_records()}
    return list((shipped | own_records(folder, frozenset(shipped))).values())


def shipped_records() -> list[EngineRecord]:
    """Those of this package."""
    files = sorted(resources.files("rbee_path").joinpath("records").iterdir(), key=lambda one: one.name)
    return [parse_record(one.read_text(encoding="utf-8")) for one in files if one.name.endswith(".toml")]


def own_records(folder: Path, taken: frozenset[str] = frozenset()) -> dict[str, EngineRecord | Broken]:
    """A person's own, by name; a broken file breaks no other.

    Args:
        folder: need not be there.
        taken: names of other records, which only a whole one may take.
    """
    found: dict[str, EngineRecord | Broken] = {}
    origin: dict[str, Path] = {}
    broken: list[Broken] = []
    for path in sorted(folder.glob("*.toml"))[:_MOST]:
        one = _read(path)
        if isinstance(one, EngineRecord) and one.name in origin:
            one = _broken(path, f"'name': {one.name!r} stands in '{origin[one.name].name}' too")
        if isinstance(one, EngineRecord):
            origin[one.name] = path
            found[one.name] = one
        else:
            broken.append(one)
    for one in broken:
        # It is called as its file is, and that may be the name of a record in another.
        names = (one.name, *(f"{one.name}-{number}" for number in range(2, _MOST + 2)))
        name = next(name for name in names if name not in found and name not in taken)
        found[name] = msgspec.structs.replace(one, name=name)
    return found


def _read(path: Path) -> EngineRecord | Broken:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST} bytes")
        return parse_record(content.decode("utf-8"))
    except (OSError, ValueError) as error:
        return _broken(path, str(error))


def _broken(path: Path, why: str) -> Broken:
    name = _ODD.sub("-", path.stem.lower()).strip("-")[:64] or "unnamed"
    return Broken(name=name, reason=f"'{path}' is no record of an engine: {why}; mend the file or remove it")
