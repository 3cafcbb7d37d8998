"""Bodies of jobs become requests, or errors that name the field."""

from __future__ import annotations

from typing import Any

import pytest
from rbee.contract.errors import InvalidRequestError
from rbee.contract.wire import HIVE_OPERATIONS, InferRequest, WorkerSpawn
from rbee.jobs import parse


@pytest.mark.parametrize(
    ("body", "param", "told"),
    [
        ({"model": "m", "foo": 1}, "foo", "no field 'foo'"),
        ({}, "model", "'model' is missing"),
        ({"model": ""}, "model", "length >= 1"),
        ({"model": 7}, "model", "Expected `str`"),
        ({"model": "m", "slots": 0}, "slots", "Expected `int` >= 1"),
        ({"model": "m", "slots": 1025}, "slots", "<= 1024"),
        ({"model": "m", "context_length": -1}, "context_length", ">= 16"),
        ({"model": "m", "device": [1]}, "device", "Expected"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], param: str, told: str) -> None:
    with pytest.raises(InvalidRequestError, match=told) as caught:
        parse({"operation": "worker_spawn", **body}, WorkerSpawn)
    assert caught.value.param == param
    assert "'worker_spawn'" in caught.value.message


BAD = ["../../etc/passwd", "a/b", ".hidden", "-flag", "a b", "a\n", "\N{SNOWMAN}", "a" * 129, "a\x00", ""]


@pytest.mark.parametrize("worker_id", BAD)
@pytest.mark.parametrize("operation", ["worker_spawn", "model_load", "worker_process_get", "worker_process_delete"])
def test_an_id_that_is_no_name_is_refused(operation: str, worker_id: str) -> None:
    body = {"operation": operation, "worker_id": worker_id}
    with pytest.raises(InvalidRequestError) as caught:
        parse(
            {**body, "model": "m"} if operation in {"worker_spawn", "model_load"} else body, HIVE_OPERATIONS[operation]
        )
    assert caught.value.param == "worker_id"


def test_nested_fields_are_named_by_their_outermost() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse({"operation": "infer", "model": "m", "stop": [1]}, InferRequest)
    assert caught.value.param == "stop"


def test_what_is_right_comes_through() -> None:
    wanted = parse({"operation": "worker_spawn", "model": "m", "device": 0, "hive_id": "h"}, WorkerSpawn)
    assert (wanted.model, wanted.device, wanted.hive_id, wanted.slots) == ("m", 0, "h", None)
