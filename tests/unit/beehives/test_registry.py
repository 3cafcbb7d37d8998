"""The registry of beehives, over a file, memory and a PostgreSQL server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.beehives import Beehive, BeehiveChanges
from rbee.beehives.beehive import checked
from rbee.beehives.registry import BeehiveRegistry
from rbee.beehives.rows import beehive_of, row_of
from rbee.contract.errors import ConflictError, InvalidRequestError, NotFoundError

FULL = BeehiveChanges(
    node_name="gpu1",
    ssh_host="gpu1.lan",
    ssh_port=2222,
    ssh_user="bee",
    ssh_key_path="~/.ssh/id ed25519",
    git_repo_url="https://example.org/rbee.git",
    git_branch="main",
    install_path="/opt/rbee",
    hive_port=7900,
    labels={"room": "cellar", "gpu/kind": "büro ☃"},
    enabled=False,
    host_key_fingerprint=f"SHA256:{'aB3' * 14}/",
)


@pytest.fixture
async def registry(data_base_url: str) -> AsyncIterator[BeehiveRegistry]:
    one = BeehiveRegistry(data_base_url)
    await one.open()
    yield one
    await one.close()


async def test_what_is_entered_comes_back_whole(registry: BeehiveRegistry) -> None:
    entered = await registry.add(FULL)
    assert entered == await registry.get("gpu1")
    for name, value in FULL.said().items():
        assert getattr(entered, name) == value
    assert (entered.status, entered.last_connected_unix, entered.backends, entered.devices) == (
        "unknown",
        None,
        None,
        None,
    )
    assert entered.created_at is not None
    assert entered.created_at.tzinfo is UTC
    assert entered.created_at == entered.updated_at


async def test_what_is_not_said_is_unknown(registry: BeehiveRegistry) -> None:
    entered = await registry.add(BeehiveChanges(node_name="bare"))
    assert (entered.ssh_port, entered.hive_port, entered.ssh_user, entered.labels, entered.enabled) == (
        None,
        None,
        None,
        {},
        True,
    )


async def test_a_name_is_entered_once(registry: BeehiveRegistry) -> None:
    await registry.add(FULL)
    with pytest.raises(ConflictError, match="'gpu1' is there already"):
        await registry.add(BeehiveChanges(node_name="gpu1", ssh_host="other"))
    assert (await registry.get("gpu1")).ssh_host == "gpu1.lan"


async def test_an_update_changes_only_what_it_says(registry: BeehiveRegistry) -> None:
    before = await registry.add(FULL)
    await registry.set_contact("gpu1", "online", 1_700_000_000.9, devices=["GPU-0"], backends=["cuda"])
    after = await registry.add(BeehiveChanges(node_name="gpu1", git_branch="dev", ssh_user=None), update=True)
    assert after == msgspec.structs.replace(
        before,
        git_branch="dev",
        ssh_user=None,
        status="online",
        last_connected_unix=1_700_000_000,
        devices=("GPU-0",),
        backends=("cuda",),
        updated_at=after.updated_at,
    )
    assert after.updated_at is not None
    assert before.updated_at is not None
    assert after.updated_at > before.updated_at
    assert await registry.update(BeehiveChanges(node_name="gpu1", enabled=True)) == await registry.get("gpu1")


async def test_a_machine_that_moved_is_unknown_again(registry: BeehiveRegistry) -> None:
    await registry.add(FULL)
    await registry.set_contact("gpu1", "online", 1.0)
    moved = await registry.update(BeehiveChanges(node_name="gpu1", ssh_host="elsewhere"))
    assert (moved.status, moved.host_key_fingerprint) == ("unknown", None)


async def test_the_list_is_by_name(registry: BeehiveRegistry) -> None:
    await registry.enter([BeehiveChanges(node_name=name) for name in ("b", "_z", "a", "B", "a-1", "a.1")])
    assert [one.node_name for one in await registry.list()] == ["B", "_z", "a", "a-1", "a.1", "b"]


async def test_what_was_removed_is_gone(registry: BeehiveRegistry) -> None:
    await registry.add(FULL)
    await registry.remove("gpu1")
    for work in (
        registry.get("gpu1"),
        registry.remove("gpu1"),
        registry.update(BeehiveChanges(node_name="gpu1")),
        registry.set_contact("gpu1", "online", 1.0),
    ):
        with pytest.raises(NotFoundError, match="no hive 'gpu1' on the list"):
            await work
    assert await registry.list() == []


async def test_several_are_entered_together_or_not_at_all(registry: BeehiveRegistry) -> None:
    await registry.add(BeehiveChanges(node_name="c"))
    new = [BeehiveChanges(node_name=name) for name in ("a", "b", "c")]
    with pytest.raises(ConflictError, match="'c'"):
        await registry.enter(new)
    with pytest.raises(InvalidRequestError, match="'-bad'"):
        await registry.enter([*new, BeehiveChanges(node_name="-bad")], update=True)
    with pytest.raises(ConflictError, match="'d'"):
        await registry.enter([BeehiveChanges(node_name="d"), BeehiveChanges(node_name="d")], update=True)
    assert [one.node_name for one in await registry.list()] == ["c"]
    entered = await registry.enter(new, update=True)
    assert (entered.added, entered.updated) == (("a", "b"), ("c",))


async def test_a_contact_that_failed_leaves_when_the_last_one_was(registry: BeehiveRegistry) -> None:
    before = await registry.add(FULL)
    await registry.set_contact("gpu1", "online", 5_000_000_000.0, devices=["CPU-0"])
    await registry.set_contact("gpu1", "offline")
    after = await registry.get("gpu1")
    assert (after.status, after.last_connected_unix, after.devices) == ("offline", 5_000_000_000, ("CPU-0",))
    assert after.updated_at == before.updated_at


async def test_what_was_found_at_the_old_place_is_not_noted_of_a_machine_that_has_moved(
    registry: BeehiveRegistry,
) -> None:
    old = (await registry.add(BeehiveChanges(node_name="gpu1", ssh_host="old"))).place
    new = (await registry.update(BeehiveChanges(node_name="gpu1", hive_port=7900))).place
    with pytest.raises(NotFoundError):
        await registry.set_contact("gpu1", "error", place=old)
    assert (await registry.get("gpu1")).status == "unknown"
    await registry.set_contact("gpu1", "offline", place=new)
    assert (await registry.get("gpu1")).status == "offline"


async def test_two_writers_lose_nothing(data_base_url: str) -> None:
    if data_base_url.endswith("://"):
        pytest.skip("memory is not shared")
    one, other = BeehiveRegistry(data_base_url), BeehiveRegistry(data_base_url)
    await asyncio.gather(one.open(), other.open())
    both = (one, other)
    names = [f"n{number:02}" for number in range(20)]
    await asyncio.gather(
        *(both[i % 2].add(BeehiveChanges(node_name=name, ssh_host="h")) for i, name in enumerate(names))
    )
    # The operator and the queen change different columns of the same rows.
    await asyncio.gather(
        *(one.update(BeehiveChanges(node_name=name, git_branch="b")) for name in names),
        *(other.set_contact(name, "online", 7.0) for name in names),
    )
    # And both enter the same new machines: each is there, with what both have said.
    await asyncio.gather(
        *(one.enter([BeehiveChanges(node_name=f"m{i}", ssh_user="u")], update=True) for i in range(10)),
        *(other.enter([BeehiveChanges(node_name=f"m{i}", git_branch="b")], update=True) for i in range(10)),
    )
    found = {hive.node_name: hive for hive in await other.list()}
    assert sorted(found) == sorted([*names, *(f"m{i}" for i in range(10))])
    assert all((found[name].git_branch, found[name].status) == ("b", "online") for name in names)
    assert all((found[f"m{i}"].ssh_user, found[f"m{i}"].git_branch) == ("u", "b") for i in range(10))
    await asyncio.gather(one.close(), other.close())


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("ssh_port", 0),
        ("ssh_port", 65536),
        ("hive_port", -1),
        ("ssh_host", ""),
        ("ssh_host", "a b"),
        ("ssh_host", "-oProxyCommand=x"),
        ("ssh_host", "a\nb"),
        ("ssh_host", "h" * 256),
        ("ssh_user", "-l"),
        ("ssh_key_path", "a\x00b"),
        ("install_path", "p" * 4097),
        ("git_repo_url", "--upload-pack=x"),
        ("install_path", "\udcff"),
        ("labels", {"": "x"}),
        ("labels", {"a b": "x"}),
        ("labels", {"a": "x\ny"}),
        ("labels", {f"k{number}": "" for number in range(65)}),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_name(column: str, value: object) -> None:
    with pytest.raises(InvalidRequestError, match=f"^Beehive 'a': {column} ") as caught:
        checked(BeehiveChanges(node_name="a", **{column: value}))
    assert caught.value.param == column


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a\n", "a/b", "ä", "n" * 129, "*"])
def test_names_are_plain(name: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        checked(BeehiveChanges(node_name=name))
    assert caught.value.param == "node_name"


TEXT = st.none() | st.text(max_size=20)


@given(
    st.builds(
        Beehive,
        node_name=st.text(max_size=9),
        ssh_host=TEXT,
        ssh_port=st.none() | st.integers(),
        labels=st.dictionaries(st.text(max_size=5), st.text(max_size=5)),
        enabled=st.booleans(),
        backends=st.none() | st.lists(st.text(max_size=5)).map(tuple),
        devices=st.none() | st.lists(st.text(max_size=5)).map(tuple),
        status=st.sampled_from(["unknown", "online"]),
    )
)
def test_rows_and_beehives_say_the_same(beehive: Beehive) -> None:
    assert beehive_of(row_of(beehive)) == beehive


def test_speaking_of_beehives_loads_no_data_base() -> None:
    code = "import sys, rbee.clients, rbee.beehives, rbee.cli.beehives; assert 'sqlalchemy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
