"""What an index is asked for: packages by name, without rbee itself, and fitting what rbee needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, metadata, version

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from rbee.contract.errors import InvalidRequestError

CORE = "rbee"
ENGINE_EXTRA = "engine"
"""By custom, the extra of a plugin that brings its inference library."""

WITHOUT_CORE = f'{CORE} ; python_version < "0"\n'
"""An override that drops a dependency on rbee, which is on no index and seen by another way."""


def plain_requirement(text: str) -> Requirement:
    """A package by its name, with extras and versions at most.

    Raises:
        InvalidRequestError: it is none, leads to a file or an address, or is rbee itself.
    """
    try:
        found = Requirement(text)
    except InvalidRequirement as error:
        raise InvalidRequestError(
            f"{text!r} is no package: {str(error).splitlines()[0]}. "
            "Write its name, as in rbee-foo or rbee-foo[engine]>=1.",
            param="package",
        ) from error
    if found.url is not None or found.marker is not None:
        raise InvalidRequestError(
            f"{text!r} must be a package's name, with extras and versions at most: no address, path or condition.",
            param="package",
        )
    if canonicalize_name(found.name) == CORE:
        raise InvalidRequestError(f"{text!r} is rbee itself; name the package of an engine.", param="package")
    return found


def to_fetch(wanted: Requirement) -> list[str]:
    """What to ask an index for.

    A plugin that lies in rbee's own environment is seen from there, and may be on no index: then only what its extras
    bring is fetched.
    """
    if not wanted.extras or not _is_here(wanted):
        return [str(wanted)]
    return sorted(set(_of_extras(canonicalize_name(wanted.name), frozenset(wanted.extras)))) or [str(wanted)]


def constraints(distribution: str) -> str:
    """What rbee itself needs, a line each: the packages of an engine come first, for rbee's modules too."""
    lines = [f"{one.name}{one.specifier}" for one in _requires(distribution) if _wanted(one, None) and one.specifier]
    return "".join(f"{line}\n" for line in lines)


def libraries(distribution: str) -> list[str]:
    """What the extra `engine` of a plugin has brought, by name."""
    return sorted({one.name for one in _requires(distribution) if _wanted(one, ENGINE_EXTRA)})


def with_engine(distribution: str) -> str | None:
    """The requirement that brings a plugin's library; None where the plugin has no such extra."""
    return f"{distribution}[{ENGINE_EXTRA}]" if ENGINE_EXTRA in _extras(distribution) else None


def summary_of(distribution: str) -> str | None:
    """Its one line for a person."""
    try:
        return metadata(distribution)["Summary"]
    except (PackageNotFoundError, KeyError):
        return None


def engine_extras(distribution: str) -> Mapping[str, tuple[str, list[str]]]:
    """Extras that bring one engine each: by the plugin's distribution, its requirement and the names of the extras.

    No engine is known by name here: an extra that asks for nothing but one plugin with its library brings an engine.
    """
    engines: dict[str, tuple[str, list[str]]] = {}
    required = list(_requires(distribution))
    for extra in sorted(_extras(distribution)):
        wanted = [one for one in required if _wanted(one, extra)]
        if len(wanted) == 1 and ENGINE_EXTRA in wanted[0].extras:
            plugin = canonicalize_name(wanted[0].name)
            text = f"{wanted[0].name}[{','.join(sorted(wanted[0].extras))}]{wanted[0].specifier}"
            engines.setdefault(plugin, (text, []))[1].append(extra)
    return engines


def _is_here(wanted: Requirement) -> bool:
    try:
        return wanted.specifier.contains(version(wanted.name), prereleases=True)
    except PackageNotFoundError:
        return False


def _of_extras(distribution: str, extras: frozenset[str]) -> Iterator[str]:
    for extra in extras:
        for one in _requires(distribution):
            if not _wanted(one, extra):
                continue
            if canonicalize_name(one.name) == distribution:
                yield from _of_extras(distribution, frozenset(one.extras) - extras)
            else:
                one.marker = None
                yield str(one)


def _wanted(one: Requirement, extra: str | None) -> bool:
    """Whether a requirement is one of an extra alone, or, for None, one without any extra."""
    without = one.marker is None or one.marker.evaluate({"extra": ""})
    if extra is None:
        return without
    return not without and one.marker is not None and one.marker.evaluate({"extra": extra})


def _requires(distribution: str) -> Iterator[Requirement]:
    try:
        lines = metadata(distribution).get_all("Requires-Dist") or []
    except PackageNotFoundError:
        return
    for line in lines:
        try:
            yield Requirement(line)
        except InvalidRequirement:
            continue


def _extras(distribution: str) -> list[str]:
    try:
        return metadata(distribution).get_all("Provides-Extra") or []
    except PackageNotFoundError:
        return []
