"""The file of connections."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from rbee.builtin.openai_server import Connection, Connections
from rbee.contract.errors import ConfigurationError, ConflictError, NotFoundError

BOX = Connection(name="box", url="http://box/v1", key="sesame")


@pytest.fixture
def store(tmp_path):
    return Connections(tmp_path / "config" / "servers.json")


def test_what_was_added_is_there_until_it_is_removed(store):
    assert store.all() == ()
    store.add(BOX, replace=False)
    store.add(Connection(name="attic", url="http://attic/v1"), replace=False)
    assert [one.name for one in store.all()] == ["attic", "box"]
    assert store.get("box") == BOX
    store.remove("box")
    with pytest.raises(NotFoundError, match="Servers: attic"):
        store.get("box")
    with pytest.raises(NotFoundError):
        store.remove("box")


def test_a_name_is_given_once_unless_it_is_to_be_replaced(store):
    store.add(BOX, replace=False)
    with pytest.raises(ConflictError, match="--replace"):
        store.add(Connection(name="box", url="http://other/v1"), replace=False)
    assert store.get("box") == BOX
    store.add(Connection(name="box", url="http://other/v1"), replace=True)
    assert store.get("box").key is None


def test_nobody_else_may_read_the_file(store, tmp_path):
    store.add(BOX, replace=False)
    (file,) = [path for path in (tmp_path / "config").iterdir() if path.suffix == ".json"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        store.all()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"servers": "sesame"}',
        b'{"servers": [{"key": "sesame"}]}',
        b"\xff",
        pytest.param(b'{"x": ' + b"[" * 200_000, id="nested without end"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_not_quoted(store, tmp_path, content):
    store.add(BOX, replace=False)
    file = tmp_path / "config" / "servers.json"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"servers\.json") as caught:
        store.all()
    assert "sesame" not in caught.value.message
    with pytest.raises(ConfigurationError):
        store.add(BOX, replace=True)
    assert file.read_bytes() == content


def test_a_link_in_the_way_is_not_followed(store, tmp_path):
    store.add(BOX, replace=False)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "config" / "servers.json.new").symlink_to(victim)
    store.add(BOX, replace=True)
    assert victim.read_text() == "mine"


def test_many_may_add_at_the_same_time(store):
    def add(number):
        store.add(Connection(name=f"s{number}", url="http://x/v1"), replace=False)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.all()) == 8


def test_a_colony_has_its_own(tmp_path):
    Connections.of({"RBEE_HOME": str(tmp_path)}).add(BOX, replace=False)
    assert (tmp_path / "config" / "servers.json").is_file()
    assert Path(tmp_path / "config").is_dir()
