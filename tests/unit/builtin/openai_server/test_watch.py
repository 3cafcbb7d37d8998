"""Looks at a server that a worker stands for."""

from __future__ import annotations

import json
import os

import msgspec
import pytest
from rbee.builtin.openai_server import Connection, Connections, ServedModel
from rbee.builtin.openai_server.watch import Watch
from rbee.testing.colony import eventually
from unit.builtin.openai_server.upstream import Upstream


@pytest.fixture
def upstream():
    with Upstream({"id": "m"}, key="sesame") as running:
        yield running


@pytest.fixture
def connection(upstream):
    found = Connection(name="box", url=upstream.url, key="sesame", models=(ServedModel(id="m"),))
    Connections.of(os.environ).add(found, replace=True)
    return found


@pytest.fixture
def watching(connection):
    """Starts watches, which look all the time unless they are told otherwise."""
    watches = []

    def make(every_s=0.01):
        watches.append(Watch(connection, "m", Connections.of(os.environ), every_s=every_s, again_s=0.01))
        watches[-1].start()
        return watches[-1]

    yield make
    for watch in watches:
        watch.close()


def looks(upstream, number):
    """Wait for so many further looks."""
    until = len(upstream.seen) + number
    return eventually(lambda: len(upstream.seen) >= until)


def test_a_server_that_answers_is_there(upstream, watching):
    watch = watching()
    looks(upstream, 5)
    assert watch.gone is None


def test_a_server_that_does_not_answer_is_gone_with_the_reason(upstream, watching):
    watch = watching()
    looks(upstream, 1)
    upstream.close()
    assert "does not answer" in eventually(lambda: watch.gone)


def test_one_look_in_vain_proves_nothing(upstream, watching):
    watch = watching()
    looks(upstream, 1)
    upstream.failures = 2
    looks(upstream, 5)
    assert watch.gone is None


def test_a_server_that_is_asked_too_often_is_there(upstream, watching):
    upstream.failures, upstream.failing = 1000, 429
    watch = watching()
    looks(upstream, 6)
    assert watch.gone is None


def test_a_server_that_refuses_the_key_is_gone(upstream, watching):
    watch = watching()
    upstream.key = "another"
    assert "refuses its key (401)" in eventually(lambda: watch.gone)
    assert "sesame" not in watch.gone


def test_a_server_that_has_another_model_now_is_gone_and_one_that_lists_none_is_not(upstream, watching):
    watch = watching()
    upstream.listing = json.dumps({"data": []}).encode()
    looks(upstream, 5)
    assert watch.gone is None
    upstream.listing = json.dumps({"data": [{"id": "other"}]}).encode()
    assert "has no model 'm' any more" in eventually(lambda: watch.gone)


@pytest.mark.parametrize("changed", [{"key": "new"}, {"url": "http://127.0.0.1:9/v1"}, {"slots": 3}])
def test_a_server_that_was_added_anew_is_another(connection, watching, changed):
    watch = watching()
    Connections.of(os.environ).add(msgspec.structs.replace(connection, **changed), replace=True)
    assert "was added anew" in eventually(lambda: watch.gone)


def test_a_server_that_has_more_models_now_is_the_same(upstream, connection, watching):
    watch = watching()
    more = (*connection.models, ServedModel(id="n"))
    Connections.of(os.environ).add(msgspec.structs.replace(connection, models=more), replace=True)
    looks(upstream, 3)
    assert watch.gone is None


def test_a_server_that_was_removed_is_gone(connection, watching):
    watch = watching()
    Connections.of(os.environ).remove("box")
    assert "was removed" in eventually(lambda: watch.gone)


def test_a_file_that_cannot_be_read_ends_no_worker(home, upstream, watching):
    watch = watching()
    (home / "config" / "servers.json").write_bytes(b"{")
    looks(upstream, 3)
    assert watch.gone is None


def test_a_file_that_is_nested_without_end_ends_no_watch(home, upstream, watching):
    watch = watching()
    (home / "config" / "servers.json").write_bytes(b'{"servers": [], "x": ' + b"[" * 200_000)
    looks(upstream, 3)
    assert watch.runs
    assert watch.gone is None


def test_whatever_goes_wrong_at_the_file_ends_no_watch(upstream, connection, caplog):
    class Odd(Connections):
        def get(self, name):
            raise UnicodeError("odd bytes")

    watch = Watch(connection, "m", Odd.of(os.environ), every_s=0.01, again_s=0.01)
    watch.start()
    try:
        looks(upstream, 3)
        assert watch.runs
        assert watch.gone is None
    finally:
        watch.close()
    assert "odd bytes" in caplog.text


def test_it_looks_at_once_when_asked_to_and_not_any_more_once_it_is_closed(upstream, watching):
    watch = watching(every_s=3600)
    assert not upstream.seen
    watch.look_soon()
    eventually(lambda: upstream.seen)
    watch.close()
    eventually(lambda: not watch.runs)


def test_a_look_that_fails_as_nobody_thought_is_a_look_in_vain(watching, monkeypatch):
    def odd(connection):
        raise UnicodeError("odd bytes")

    monkeypatch.setattr("rbee.builtin.openai_server.watch.served", odd)
    watch = watching()
    assert "UnicodeError" in eventually(lambda: watch.gone)
