"""What components say of themselves is bounded, field by field."""

from __future__ import annotations

from typing import Any

import pytest
from rbee.contract import joining
from rbee.contract.errors import InvalidRequestError
from rbee.contract.wire import (
    AggregateHeartbeat,
    AggregateWorker,
    HiveHeartbeat,
    HiveInfo,
    ProcessStats,
    Registration,
    WorkerBeat,
    utc_now,
)

SOUND = Registration(component_type="hive", component_id="h1", url="http://box:7835/", metadata={"a": 1})


def worker(**more: Any) -> WorkerBeat:
    told: dict[str, Any] = {"id": "w", "model_id": "m", "device": None, "port": 1, "status": "ready"}
    return WorkerBeat(**{**told, "implementation": "e", "version": None, **more})


def hive(*workers: str, **more: Any) -> HiveHeartbeat:
    info = HiveInfo(**{"id": "h", "hostname": "box", "port": 1, **more})
    return HiveHeartbeat(
        hive=info, timestamp=utc_now(), workers=tuple(ProcessStats(pid=1, worker_id=name) for name in workers)
    )


def aggregate(hive_id: str, *workers: str, **more: Any) -> AggregateHeartbeat:
    told = tuple(AggregateWorker(worker_id=name, state="ready", **more) for name in workers)
    return AggregateHeartbeat(hive_id=hive_id, timestamp=utc_now(), workers=told)


def refused(check: Any, thing: Any) -> str | None:
    with pytest.raises(InvalidRequestError) as caught:
        check(thing)
    assert repr(caught.value.param) in caught.value.message
    return caught.value.param


def test_a_sound_registration_gives_id_and_address() -> None:
    assert joining.checked_registration(SOUND) == ("h1", "http://box:7835")


@pytest.mark.parametrize("identity", ["", "a/b", "x" * 201, "line\nbreak", "\x1b[31m", "a\u202eb"])
def test_an_unusable_id_is_refused_by_every_form(identity: str) -> None:
    url = "http://a:1"
    assert refused(joining.checked_registration, Registration(component_id=identity, url=url)) == "component_id"
    assert refused(joining.checked_registration, Registration(worker_id=identity, url=url)) == "worker_id"
    assert refused(joining.check_worker_beat, worker(id=identity)) == "worker.id"
    assert refused(joining.check_hive_beat, hive(id=identity)) == "hive.id"
    assert refused(joining.check_hive_beat, hive(identity)) == "worker_id"
    assert refused(joining.check_aggregate, aggregate(identity)) == "hive_id"
    assert refused(joining.check_aggregate, aggregate("h", identity)) == "worker_id"


@pytest.mark.parametrize("text", ["x" * 4097, "two\nlines"])
def test_text_that_is_too_long_or_holds_control_characters_is_refused(text: str) -> None:
    told = {"component_id": "h", "hostname": text, "url": "http://a:1"}
    assert refused(joining.checked_registration, Registration(**told)) == "hostname"
    assert refused(joining.check_hive_beat, hive(hostname=text)) == "hostname"
    assert refused(joining.check_hive_beat, hive(url=text)) == "url"
    assert refused(joining.check_worker_beat, worker(url=text)) == "url"
    assert refused(joining.check_worker_beat, worker(model_id=text)) == "model_id"
    assert refused(joining.check_aggregate, aggregate("h", "w", url=text)) == "url"


@pytest.mark.parametrize(
    ("told", "param", "words"),
    [
        ({"hostname": "box", "port": 99999}, "port", "'port' must be 1 to 65535, not 99999"),
        ({"hostname": "box", "port": 0}, "port", "not 0"),
        ({"port": -1}, "port", "not -1"),
        ({"hostname": "h h", "port": 1}, "hostname", "'h h'"),
        ({"url": "javascript:alert(1)", "hostname": "box", "port": 1}, "url", "'javascript:alert(1)'"),
        ({"url": "http://box:99999"}, "url", "1 to 65535"),
        ({"hostname": "box"}, "port", "'port' is missing besides 'hostname'"),
        ({"port": 80}, "hostname", "'hostname' is missing besides 'port'"),
        ({}, "url", "needs 'url', or 'hostname' and 'port'"),
    ],
)
def test_an_unusable_address_is_told_by_the_field_that_is_wrong(told: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        joining.checked_registration(Registration(component_id="h", **told))
    assert caught.value.param == param
    assert words in caught.value.message


def test_facts_beyond_their_size_are_refused() -> None:
    told = Registration(component_id="h", url="http://a:1", metadata={"a": "x" * 20_000})
    assert refused(joining.checked_registration, told) == "metadata"


def test_what_is_sound_passes() -> None:
    joining.check_worker_beat(worker(model_id="file:/home/\u00e9t\u00e9/a b.gguf", stage="loading\nlayers"))
    joining.check_hive_beat(hive("w1", "w2"))
    joining.check_aggregate(aggregate("h", "w1"))
