from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from rbee.beehives import BeehiveChanges
from rbee.beehives.registry import BeehiveRegistry
from rbee.contract.errors import ConflictError, PermissionDeniedError
from rbee.remote.arriving import Surroundings, arrive, examine
from rbee.remote.failing import HostKeyChangedError, HostKeyUnknownError
from rbee.testing.sshd import Sshd


@pytest.fixture
async def entries() -> AsyncIterator[BeehiveRegistry]:
    registry = BeehiveRegistry("sqlite+aiosqlite://")
    await registry.open()
    yield registry
    await registry.close()


@pytest.fixture
def machine(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BeehiveChanges:
    # The configuration and known hosts of whoever runs the tests are not to count.
    monkeypatch.setenv("HOME", str(tmp_path))
    return BeehiveChanges(
        node_name="box",
        ssh_host=sshd.address,
        ssh_port=sshd.port,
        ssh_user=sshd.user,
        ssh_key_path=str(sshd.key),
        ssh_jump="none",
        hive_port=1,
    )


async def test_a_machine_is_entered_with_its_key_once_that_was_agreed_on(
    entries: BeehiveRegistry, machine: BeehiveChanges, sshd: Sshd
) -> None:
    told: list[str] = []
    with pytest.raises(HostKeyUnknownError) as caught:
        await arrive(machine, entries, Surroundings(), told.append)
    assert await entries.list() == []

    found = await arrive(machine, entries, Surroundings(), told.append, accept=str(caught.value.details["fingerprint"]))

    assert found.added
    assert found.look is not None
    assert found.checks[0].name == "connection"
    assert (await entries.get("box")).host_key_fingerprint == sshd.fingerprint
    assert told[-3:] == [
        "Connecting to box",
        f"Looking at box as {sshd.user}@{sshd.address}:{sshd.port}",
        "Entering box into the list of hives",
    ]


async def test_one_that_cannot_be_logged_in_on_is_not_entered(
    entries: BeehiveRegistry, machine: BeehiveChanges
) -> None:
    stranger = msgspec.structs.replace(machine, ssh_user="nobody-here")
    with pytest.raises(PermissionDeniedError):
        await arrive(stranger, entries, Surroundings(), str, accept_any=True)

    assert await entries.list() == []


async def test_one_behind_a_machine_that_nobody_knows_is_not_entered_by_agreeing_on_any_key(
    entries: BeehiveRegistry, machine: BeehiveChanges, sshd: Sshd
) -> None:
    await entries.add(msgspec.structs.replace(machine, node_name="gate"))
    behind = msgspec.structs.replace(machine, ssh_jump="gate")
    with pytest.raises(HostKeyUnknownError, match="'gate'"):
        await arrive(behind, entries, Surroundings(), str, accept_any=True)
    assert [one.node_name for one in await entries.list()] == ["gate"]

    await arrive(BeehiveChanges(node_name="gate"), entries, Surroundings(), str, update=True, accept_any=True)
    found = await arrive(behind, entries, Surroundings(), str, accept_any=True)

    assert found.added


async def test_one_that_is_there_is_not_connected_to_again(entries: BeehiveRegistry, machine: BeehiveChanges) -> None:
    await entries.add(machine)
    with pytest.raises(ConflictError, match="rbee hive doctor box"):
        await arrive(machine, entries, Surroundings(), str)


async def test_a_changed_key_is_taken_when_it_was_agreed_on_and_not_by_any(
    entries: BeehiveRegistry, machine: BeehiveChanges, sshd: Sshd
) -> None:
    await entries.add(msgspec.structs.replace(machine, host_key_fingerprint="SHA256:" + "a" * 43))
    again = BeehiveChanges(node_name="box")
    with pytest.raises(HostKeyChangedError):
        await arrive(again, entries, Surroundings(), str, update=True, accept_any=True)

    found = await arrive(again, entries, Surroundings(), str, update=True, accept=sshd.fingerprint)

    assert found.updated
    assert (await entries.get("box")).host_key_fingerprint == sshd.fingerprint


async def test_an_address_that_was_not_said_is_taken_from_the_ssh_configuration(
    entries: BeehiveRegistry, machine: BeehiveChanges, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(
        f"Host gaming-*\n HostName {sshd.address}\n Port {sshd.port}\n User {sshd.user}\n IdentityFile {sshd.key}\n"
    )

    await arrive(
        BeehiveChanges(node_name="pc", ssh_alias="gaming-pc"), entries, Surroundings(), str, accept=sshd.fingerprint
    )

    entered = await entries.get("pc")
    assert (entered.ssh_host, entered.ssh_port, entered.ssh_alias) == (sshd.address, sshd.port, "gaming-pc")
    assert entered.ssh_user is None


async def test_a_machine_that_cannot_be_reached_is_a_finding(entries: BeehiveRegistry, machine: BeehiveChanges) -> None:
    await entries.add(msgspec.structs.replace(machine, host_key_fingerprint="SHA256:" + "a" * 43))

    found = await examine(await entries.get("box"), [], Surroundings(), str)

    (check,) = found.checks
    assert (check.name, check.status) == ("connection", "fail")
    assert check.detail.startswith("checking the host key: ")
    assert found.look is None
