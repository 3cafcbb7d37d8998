"""The two forms of a hive's heartbeat."""

from __future__ import annotations

import pytest
from rbee.contract.errors import InvalidRequestError
from rbee.contract.wire import AggregateHeartbeat, HiveHeartbeat
from rbee.queen.hive_beats import hive_beat

CONTRACT = b'{"hive": {"id": "h", "hostname": "x", "port": 1}, "timestamp": "2025-11-01T12:00:00Z"%s}'
AGGREGATE = b'{"hive_id": "h", "timestamp": "2025-11-01T12:00:00Z", "workers": [{"worker_id": "w", "state": "Idle"}]}'


def test_the_key_tells_them_apart() -> None:
    assert isinstance(hive_beat(CONTRACT % b""), HiveHeartbeat)
    assert isinstance(hive_beat(CONTRACT % b', "hive_id": "h"'), HiveHeartbeat)
    told = hive_beat(AGGREGATE)
    assert isinstance(told, AggregateHeartbeat)
    assert told.workers[0].state == "Idle"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"hive": 1}', b'{"hive_id": 1}', b"[" * 100_000])
def test_what_is_neither_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="no hive's heartbeat"):
        hive_beat(body)
