"""Checks of this machine's certificates: the colony's authority, what programs show, what the operator has brought."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rbee.cli.context import Context
from rbee.contract.checks import Check
from rbee.contract.errors import RbeeError
from rbee.settings import Folders, Settings

_AUTHORITY_SOON = timedelta(days=90)
_BROUGHT_SOON = timedelta(days=14)
_DAY = "%Y-%m-%d"
_MINUTE = "%Y-%m-%d %H:%M UTC"


def certificates(folders: Folders, settings: Settings | None, now: datetime) -> Iterator[Check]:
    """Of those that there are; a machine that speaks no TLS has none.

    Args:
        folders: of this home.
        settings: of this home; None when they cannot be read.
        now: the time, with a time zone.
    """
    if (folders.config / "ca").is_dir():
        yield _authority(folders, now)
    identity = folders.config / "identity"
    grace = timedelta(hours=(settings or Settings()).security.renewal_grace_hours)
    for folder in (identity, *sorted(one for one in identity.glob("*") if one.is_dir())):
        if (folder / "identity.pem").exists():
            yield _identity(folder, now, grace)
    if settings is not None and (settings.server.tls_certificate or settings.server.tls_key):
        yield _brought(settings, now)


def of_home(context: Context) -> Iterator[Check]:
    """The same, as far as this home's settings can be read."""
    try:
        settings = context.settings
    except RbeeError:
        settings = None
    yield from certificates(context.folders, settings, datetime.now(UTC))


def _authority(folders: Folders, now: datetime) -> Check:
    # Late: what reads certificates takes long to load.
    from rbee.trust.authority import Authority

    name = "authority"
    try:
        authority = Authority(folders.config / "ca")
        if not authority.exists:
            return Check(name=name, status="ok", detail="none yet; the first start beyond loopback makes one")
        authority.open()
        ends = authority.expires_at
    except RbeeError as error:
        return Check(name=name, status="fail", detail=error.message, remedy="Put the folder back from a backup.")
    if ends - now < _AUTHORITY_SOON:
        over = ends <= now
        return Check(
            name=name,
            status="fail" if over else "warn",
            detail=f"the colony's authority {'ended' if over else 'ends'} on {ends:{_DAY}}",
            remedy="Make a new key, which is trusted first and signs later: rbee ca rotate",
        )
    return Check(name=name, status="ok", detail=f"{authority.fingerprint}, until {ends:{_DAY}}")


def _identity(folder: Path, now: datetime, grace: timedelta) -> Check:
    from rbee.trust.identity import Identity

    name = "certificate" if folder.name == "identity" else f"certificate of the {folder.name}"
    try:
        identity = Identity(folder)
        peer, ends = identity.peer, identity.expires_at
    except RbeeError as error:
        remedy = "Remove the folder and start again; a machine that has joined joins anew."
        return Check(name=name, status="fail", detail=error.message, remedy=remedy)
    who = f"{peer.role} {peer.id!r}" if peer.id != peer.role else str(peer.role)
    if peer.serial in identity.revoked:
        return Check(
            name=name,
            status="fail",
            detail=f"{who}: it was revoked",
            remedy="Let the machine join again: `rbee hive invite` on the queen's machine prints the command.",
        )
    if ends > now:
        return Check(name=name, status="ok", detail=f"{who}, until {ends:{_MINUTE}}; renewed by itself")
    if now - ends <= grace:
        detail = f"{who}: it ended on {ends:{_MINUTE}}; the program renews it when it is started"
        return Check(name=name, status="ok", detail=detail)
    return Check(
        name=name,
        status="fail",
        detail=f"{who}: it ended on {ends:{_MINUTE}}, too long ago to be renewed (security.renewal_grace_hours)",
        remedy="Let the machine join again: `rbee hive invite` on the queen's machine prints the command.",
    )


def _brought(settings: Settings, now: datetime) -> Check:
    from rbee.cli.hosting.identities import brought_by

    name = "own certificate"
    try:
        own = brought_by(settings)
        if own is None:
            return Check(name=name, status="ok", detail="none")
        own.open()
        ends = own.read().not_valid_after_utc
    except RbeeError as error:
        return Check(name=name, status="fail", detail=error.message, remedy="Correct it; the queen would not start.")
    names = ", ".join(own.names()) or "no name"
    if ends - now < _BROUGHT_SOON:
        return Check(
            name=name,
            status="warn",
            detail=f"for {names}, ends on {ends:{_DAY}}",
            remedy=f"Put a renewed one at '{own.certificate}'; it is read without a restart.",
        )
    return Check(name=name, status="ok", detail=f"for {names}, until {ends:{_DAY}}")
