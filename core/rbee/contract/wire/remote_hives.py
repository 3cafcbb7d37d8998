"""Operations on the hives of other machines, which the queen carries out over SSH, and what became of them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from rbee.contract.wire.operations import OperationRequest

_Name = Annotated[str, Meta(min_length=1, max_length=128)]
_Path = Annotated[str, Meta(min_length=1, max_length=4096)]
_Patience = Annotated[float, Meta(gt=0, le=3600)]

InstallSource = Literal["auto", "index", "wheelhouse"]


class HiveWork(OperationRequest, frozen=True, kw_only=True, omit_defaults=True):
    """``hive_status``; `hive_id` is the name of an entered machine, which is also its hive's id.

    Attributes:
        dry_run: look, say what would be done, and change nothing.
    """

    hive_id: _Name | None = None
    dry_run: bool = False


class HiveStart(HiveWork, frozen=True, kw_only=True, omit_defaults=True):
    """``hive_start``.

    Attributes:
        within_s: in how many seconds the queen must hear of the hive.
    """

    within_s: _Patience = 120.0


class HiveInstall(HiveStart, frozen=True, kw_only=True, omit_defaults=True):
    """``hive_install``, ``hive_upgrade``: installed is what the queen's machine runs.

    Attributes:
        source: where packages come from: the other machine's package index, wheels that are sent, or, as ``auto``, the
            index where it answers.
        bundle: path of a bundle on the queen's machine, in the place of what she runs.
        plugins: distributions, with or without ``rbee-``; None for all that the queen's machine has.
    """

    source: InstallSource = "auto"
    bundle: _Path | None = None
    plugins: Annotated[tuple[_Name, ...], Meta(max_length=64)] | None = None


class HiveStop(HiveStart, frozen=True, kw_only=True, omit_defaults=True):
    """``hive_stop``, ``hive_restart``.

    Attributes:
        drain_s: for how many seconds open requests are waited for; 0 ends them at once.
    """

    drain_s: Annotated[float, Meta(ge=0, le=3600)] = 30.0


class HiveUninstall(HiveStop, frozen=True, kw_only=True, omit_defaults=True):
    """``hive_uninstall``.

    Attributes:
        purge: also its models, certificates and all else that the hive keeps there.
    """

    purge: bool = False


class HiveLogs(HiveWork, frozen=True, kw_only=True, omit_defaults=True):
    """``hive_logs``: each line is a ``data`` event ``line``.

    Attributes:
        lines: how many of the last ones.
        follow: go on with those that come, until cancelled.
    """

    lines: Annotated[int, Meta(ge=0, le=10_000)] = 100
    follow: bool = False


class RemoteHive(msgspec.Struct, frozen=True, kw_only=True):
    """A hive on another machine, as it is after an operation.

    Attributes:
        hive_id: its name.
        host: its machine, as it was called.
        environment: what is installed: ``0.1.0-1a2b3c4d5e``; None for nothing.
        previous: what was installed before, and is kept for the way back.
        running: its process lives.
        pid: of what is kept running there; None when unknown.
        keeper: what keeps it running: ``systemd``, ``launchd``, ``group`` (rbee's own supervisor).
        boot: it comes back when the machine is started.
        online: the queen hears of it.
        devices: ids of its devices, as the queen has heard; None before that.
        changed: the operation has changed something.
        source: where packages came from; None where none came.
        plan: of a dry run: what would be done, in sentences.
    """

    hive_id: str
    host: str
    environment: str | None = None
    previous: str | None = None
    running: bool = False
    pid: int | None = None
    keeper: str | None = None
    boot: bool = False
    online: bool = False
    devices: tuple[str, ...] | None = None
    changed: bool = False
    source: str | None = None
    plan: tuple[str, ...] = ()
