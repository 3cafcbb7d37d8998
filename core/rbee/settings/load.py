"""Settings from their sources: command line over environment over ``config.toml`` over defaults."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from rbee.contract.errors import ConfigurationError
from rbee.contract.patterns import in_words
from rbee.settings import engines
from rbee.settings.model import Settings

_PASSWORD = re.compile(r"(://[^/:@]*:).*@", re.DOTALL)


class SettingInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One setting as ``rbee config show`` prints it.

    Attributes:
        name: ``group.field``.
        value: in force.
        source: where it came from, for a person.
        default: without any source.
        variable: environment variable that sets it.
        description: what it is for.
    """

    name: str
    value: Any
    source: str
    default: Any
    variable: str
    description: str


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """Settings with the source of each."""

    settings: Settings
    sources: dict[str, str]

    def describe(self) -> list[SettingInfo]:
        """Every setting with value and source, in the order of the definition."""
        defaults = Settings()
        options = [name for name in self.sources if engines.is_option(name)]
        known = known_settings() | dict.fromkeys(options, (None, engines.DESCRIPTION))
        return [
            SettingInfo(
                name=name,
                value=_without_password(_value(self.settings, name)),
                source=self.sources.get(name, "default"),
                default=None if engines.is_option(name) else _value(defaults, name),
                variable=variable_of(name),
                description=description,
            )
            for name, (_, description) in known.items()
        ]


def known_settings() -> dict[str, tuple[Any, str]]:
    """Type and description of every setting by its dotted name; options of engines are named by whoever sets them."""
    found: dict[str, tuple[Any, str]] = {}
    for group, kind in get_type_hints(Settings).items():
        if group == engines.GROUP:
            continue
        for field, annotation in get_type_hints(kind, include_extras=True).items():
            metas = [meta for meta in get_args(annotation)[1:] if isinstance(meta, msgspec.Meta)]
            description = next((meta.description for meta in metas if meta.description), "")
            found[f"{group}.{field}"] = (annotation, description)
    return found


def variable_of(name: str) -> str:
    """Environment variable of a setting: ``queen.port`` is ``RBEE_QUEEN_PORT``."""
    if engines.is_option(name) and name.count(".") > 1:
        return engines.variable(name)
    return "RBEE_" + name.replace(".", "_").upper()


def load_settings(config_file: Path, environ: Mapping[str, str], overrides: Mapping[str, str] | None = None) -> Loaded:
    """Read and check all settings.

    Args:
        config_file: may be absent.
        environ: the environment.
        overrides: dotted names with text values from the command line.

    Raises:
        ConfigurationError: an unknown name or a value out of bounds; the message names it and its source.
    """
    known = known_settings()
    values: dict[str, dict[str, Any]] = {}
    sources: dict[str, str] = {}

    def take(name: str, value: Any, source: str) -> None:
        if engines.is_option(name):
            engine, option = engines.split(name, source)
            options = values.setdefault(engines.GROUP, {}).setdefault(engine, {})
            options[option] = engines.option_value(name, value, source)
            sources[name] = source
            return
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f" Did you mean {close[0]!r}?" if close else " `rbee config show` lists all."
            raise ConfigurationError(f"{source} sets {name!r}, which is no setting.{hint}")
        group, field = name.split(".")
        values.setdefault(group, {})[field] = _convert(name, value, known[name][0], source)
        sources[name] = source

    for name, value in _from_file(config_file).items():
        take(name, value, f"'{config_file}'")
    for name in known:
        if variable_of(name) in environ:
            take(name, environ[variable_of(name)], f"environment variable {variable_of(name)}")
    for name, (variable, value) in engines.in_environment(environ).items():
        take(name, value, f"environment variable {variable}")
    for name, value in (overrides or {}).items():
        take(name, value, "the command line")
    settings = msgspec.convert(values, Settings)
    if settings.hive.worker_port_first > settings.hive.worker_port_last:
        raise ConfigurationError(
            "hive.worker_port_first must not be above hive.worker_port_last "
            f"({settings.hive.worker_port_first} > {settings.hive.worker_port_last})."
        )
    return Loaded(settings=settings, sources=sources)


def _from_file(path: Path) -> dict[str, Any]:
    if path.exists() and not path.is_file():
        raise ConfigurationError(f"'{path}' is not a file.")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"'{path}' is not a text file in UTF-8. Move it away; without it every setting has its default."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"'{path}' is not valid TOML: {error}") from error
    except OSError as error:
        raise ConfigurationError(f"'{path}' cannot be read: {error.strerror}.") from error
    flat: dict[str, Any] = {}
    for group, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigurationError(f"'{path}' sets {group!r} outside a table; settings are `[group]` tables.")
        for field, value in table.items():
            name = f"{group}.{field}"
            flat.update(engines.in_file(name, value, f"'{path}'") if group == engines.GROUP else {name: value})
    return flat


def _convert(name: str, value: Any, kind: Any, source: str) -> Any:
    if isinstance(value, str):
        value = _from_text(value, kind)
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        shown = in_words(str(error).split(" - at ")[0])
        choices = [choice for part in get_args(kind) for choice in get_args(part) if isinstance(choice, str)]
        if choices:
            shown = f"choose one of {', '.join(choices)}"
        raise ConfigurationError(f"{source} sets {name!r} to {value!r}: {shown}.") from error


def _from_text(text: str, kind: Any) -> Any:
    plain = str(kind)
    if "tuple" in plain:
        return [part.strip() for part in text.split(",") if part.strip()]
    if type(None) in get_args(get_args(kind)[0]) and text.strip().lower() in {"", "null", "none"}:
        return None
    return text


def _value(settings: Settings, name: str) -> Any:
    if engines.is_option(name):
        _, engine, option = name.split(".", 2)
        return settings.engines[engine][option]
    group, field = name.split(".")
    return getattr(getattr(settings, group), field)


def _without_password(value: Any) -> Any:
    """A URL as it may be shown."""
    return _PASSWORD.sub(r"\1***@", value) if isinstance(value, str) else value
