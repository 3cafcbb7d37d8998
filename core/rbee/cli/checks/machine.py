"""Checks of this machine: Python, limits, folders, token, settings, disk."""

from __future__ import annotations

import os
import platform
import stat
from collections.abc import Iterator

from rbee.builtin.disk import check_disk
from rbee.cli.checks.certificates import of_home
from rbee.cli.context import Context
from rbee.contract.checks import Check
from rbee.contract.errors import RbeeError
from rbee.contract.version import __version__
from rbee.settings import Folders

_FEW_FILES = 1024
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def machine(context: Context) -> Iterator[Check]:
    """All of them; none needs anything that runs."""
    system = platform.platform(terse=True)
    yield Check(name="rbee", status="ok", detail=f"{__version__}, Python {platform.python_version()}, {system}")
    yield from _open_files()
    try:
        folders = context.folders
    except RbeeError as error:
        remedy = "Set RBEE_HOME to an absolute path, or unset it."
        yield Check(name="folders", status="fail", detail=error.message, remedy=remedy)
        return
    yield from _folders(folders)
    yield _token(context)
    yield _settings(context)
    yield from of_home(context)
    yield check_disk(folders.models)


def _open_files() -> Iterator[Check]:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = soft == resource.RLIM_INFINITY
    if unlimited or soft >= _FEW_FILES:
        yield Check(name="open files", status="ok", detail="no limit" if unlimited else f"at most {soft}")
        return
    raised = "4096" if hard == resource.RLIM_INFINITY or hard >= 4096 else str(hard)
    detail = f"at most {soft}: every open request of the queen needs two"
    yield Check(name="open files", status="warn", detail=detail, remedy=f"ulimit -n {raised}, before rbee is started")


def _folders(folders: Folders) -> Iterator[Check]:
    complaints = []
    for folder in dict.fromkeys((folders.home, folders.config, folders.data, folders.state)):
        if not folder.exists():
            parent = next(one for one in folder.parents if one.exists())
            if not os.access(parent, os.W_OK | os.X_OK):
                remedy = f"Make '{parent}' writable, or set RBEE_HOME to a folder that is."
                complaints.append(("fail", f"'{folder}' is not there and cannot be made", remedy))
        elif not folder.is_dir():
            complaints.append(("fail", f"'{folder}' is no folder", f"Move it away: mv '{folder}' '{folder}.old'"))
        elif not os.access(folder, os.W_OK | os.X_OK):
            remedy = f"chmod u+rwx '{folder}', or set RBEE_HOME to a folder that is yours."
            complaints.append(("fail", f"'{folder}' is not writable", remedy))
        elif folder.stat().st_mode & _OTHERS and folder != folders.data:
            mode = stat.S_IMODE(folder.stat().st_mode)
            complaints.append(("warn", f"'{folder}' is open to other users (mode {mode:04o})", f"chmod 700 '{folder}'"))
    if not complaints:
        there = (
            "are there, for this user alone" if folders.state.exists() else "can be made; the first start makes them"
        )
        yield Check(name="folders", status="ok", detail=f"{there}: '{folders.home}'")
    for status, detail, remedy in complaints:
        yield Check(name="folders", status="fail" if status == "fail" else "warn", detail=detail, remedy=remedy)


def _token(context: Context) -> Check:
    try:
        token = context.present_token()
    except RbeeError as error:
        remedy = f"Correct it, or remove '{context.folders.token_file}': the next start makes a new one."
        return Check(name="token", status="fail", detail=error.message, remedy=remedy)
    if token is None:
        return Check(name="token", status="ok", detail="none yet; the first start makes one")
    return Check(name="token", status="ok", detail=f"there, for this user alone: '{context.folders.token_file}'")


def _settings(context: Context) -> Check:
    try:
        loaded = context.loaded
    except RbeeError as error:
        remedy = "Correct it there; `rbee config show` lists every setting once all are valid."
        return Check(name="settings", status="fail", detail=error.message, remedy=remedy)
    count = len(loaded.sources)
    changed = f"valid, {count} changed from the default" if count else "valid, all at their defaults"
    return Check(name="settings", status="ok", detail=changed)
