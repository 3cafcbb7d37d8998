"""The two forms of a hive's heartbeat, told apart."""

from __future__ import annotations

import msgspec

from rbee.contract.errors import InvalidRequestError
from rbee.contract.wire import AggregateHeartbeat, HiveHeartbeat


class _Form(msgspec.Struct):
    hive: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    hive_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def hive_beat(body: bytes) -> HiveHeartbeat | AggregateHeartbeat:
    """The body of ``POST /v1/hive-heartbeat``: with the key ``hive``, or, in the aggregate form, with ``hive_id``.

    Raises:
        InvalidRequestError: it is neither.
    """
    try:
        form = msgspec.json.decode(body, type=_Form)
        if form.hive is msgspec.UNSET and form.hive_id is not msgspec.UNSET:
            return msgspec.json.decode(body, type=AggregateHeartbeat)
        return msgspec.json.decode(body, type=HiveHeartbeat)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"This is no hive's heartbeat: {error}.") from error
