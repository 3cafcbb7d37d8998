"""Operations that look at other machines over SSH."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from rbee.contract.wire.operations import OperationRequest


class HiveConnect(OperationRequest, frozen=True, kw_only=True, omit_defaults=True):
    """``hive_connect``: log in on a machine, look at it, and enter it.

    Without an agreed key it fails with ``CONFLICT``, and the error's details have the ``fingerprint`` to agree on: the
    second request is given it.

    Attributes:
        node: what is said of the machine, as ``POST /v2/registry/beehives/add`` takes it.
        update: change one of that name.
        accept_fingerprint: of the host key, ``SHA256:...``.
        accept_any: agree on whatever key it shows, unless another one is known.
    """

    node: dict[str, Any]
    update: bool = False
    accept_fingerprint: Annotated[str, Meta(pattern=r"^SHA256:[A-Za-z0-9+/]{43}\Z")] | None = None
    accept_any: bool = False


class HiveDoctor(OperationRequest, frozen=True, kw_only=True, omit_defaults=True):
    """``hive_doctor``: look at an entered machine; `hive_id` is its name."""
