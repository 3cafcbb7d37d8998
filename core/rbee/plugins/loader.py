"""Loading one entry point at a time, so that a broken plugin breaks only itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from rbee.contract import hookspecs
from rbee.contract.errors import ContractVersionError, PluginError
from rbee.contract.version import CONTRACT_VERSION
from rbee.plugins.record import PluginRecord
from rbee.plugins.registrations import OwnedRegister, Registrations

log = logging.getLogger(__name__)

_OWN_DISTRIBUTION = "rbee"


class Plugins:
    """The loaded plugins of one program."""

    def __init__(
        self, manager: pluggy.PluginManager, registrations: Registrations, records: list[PluginRecord]
    ) -> None:
        self._manager = manager
        self.registrations = registrations
        self.records = records

    def notify(self, hook: str, **facts: Any) -> None:
        """Tell observers something; one that raises is logged and does not stop the others."""
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            try:
                implementation.function(*(facts[name] for name in implementation.argnames))
            except Exception:
                log.exception("plugin %r failed in %s", implementation.plugin_name, hook)


def load_plugins(allowed: str | None = None, *, found: Callable[[], Iterable[EntryPoint]] | None = None) -> Plugins:
    """Load every plugin that is installed and allowed.

    Args:
        allowed: comma-separated names of entry points (the value of ``RBEE_PLUGINS``); an empty text is the safe
            mode with core's own alone, None allows all.
        found: gives the entry points; by default those of the installed distributions.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    registrations = Registrations()
    records: list[PluginRecord] = []
    names = None if allowed is None else {name.strip() for name in allowed.split(",") if name.strip()}
    points = list(found() if found is not None else entry_points(group=hookspecs.PROJECT))
    # Core first, so that a clash names the plugin as the newcomer; then by name, so that order is no accident.
    points.sort(key=lambda point: (not _is_own(point), point.name, point.value))
    for point in points:
        if names is not None and point.name not in names and not _is_own(point):
            records.append(_record(point, "skipped"))
            continue
        try:
            with registrations.transaction():
                _load(point, manager, registrations)
        except (Exception, SystemExit) as error:
            log.debug("plugin %r failed to load", point.name, exc_info=True)
            records.append(_record(point, "failed", error=f"{type(error).__name__}: {error}"))
            continue
        owned = {kind: shelf.owned_by(point.name) for kind, shelf in registrations.shelves.items()}
        records.append(_record(point, "loaded", registered={k: v for k, v in owned.items() if v}))
    present = {point.name for point in points}
    records.extend(
        PluginRecord(
            name=name,
            distribution=None,
            version=None,
            builtin=False,
            status="failed",
            error="RBEE_PLUGINS names it, and no installed distribution brings it.",
        )
        for name in sorted((names or set()) - present)
    )
    return Plugins(manager, registrations, records)


def _load(point: EntryPoint, manager: pluggy.PluginManager, registrations: Registrations) -> None:
    plugin = point.load()
    _check_contract(point.name, getattr(plugin, "RBEE_CONTRACT", None))
    if manager.has_plugin(point.name):
        raise PluginError(f"Two installed distributions bring a plugin named {point.name!r}; remove one of them.")
    try:
        manager.register(plugin, name=point.name)
        manager.check_pending()
        for implementation in manager.hook.rbee_register.get_hookimpls():
            if implementation.plugin_name == point.name:
                implementation.function(OwnedRegister(registrations, point.name))
    except BaseException:
        # A hook that does not fit leaves those before it registered.
        if manager.has_plugin(point.name):
            manager.unregister(name=point.name)
        raise


def _check_contract(name: str, supported: object) -> None:
    if supported is None:
        raise ContractVersionError(
            f"Plugin {name!r} does not state RBEE_CONTRACT, the contract versions it supports, as '>=0.3,<0.4'."
        )
    try:
        fits = SpecifierSet(str(supported)).contains(CONTRACT_VERSION, prereleases=True)
    except InvalidSpecifier as error:
        raise ContractVersionError(f"Plugin {name!r} states RBEE_CONTRACT = {supported!r}: {error}") from error
    if not fits:
        raise ContractVersionError(
            f"Plugin {name!r} supports contract {supported}, and this rbee has {CONTRACT_VERSION}. "
            f"Upgrade the older of the two."
        )


def _is_own(point: EntryPoint) -> bool:
    return point.dist is not None and point.dist.name == _OWN_DISTRIBUTION


def _record(point: EntryPoint, status: Any, **more: Any) -> PluginRecord:
    return PluginRecord(
        name=point.name,
        distribution=point.dist.name if point.dist else None,
        version=point.dist.version if point.dist else None,
        builtin=_is_own(point),
        status=status,
        **more,
    )
