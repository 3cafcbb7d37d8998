from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import asyncssh
import msgspec
import pytest
from rbee.beehives import Beehive
from rbee.contract.errors import ConfigurationError, InvalidRequestError, PermissionDeniedError, UnreachableError
from rbee.remote.connecting import connect
from rbee.remote.failing import HostKeyChangedError, HostKeyUnknownError
from rbee.remote.target import Target, jumps_of, target_of
from rbee.testing.programs import LOOPBACK
from rbee.testing.sshd import Sshd, running_sshd

replaced = msgspec.structs.replace


@pytest.fixture(scope="module")
def gate(sshd: Sshd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("gate")) as server:
        yield server


async def _no_pause(_: float) -> None:
    return None


async def _fingerprint(target: Target, **options: object) -> str | None:
    host = await connect(target, pause=_no_pause, **options)
    await host.close()
    return host.fingerprint


async def test_a_key_that_nobody_agreed_on_is_told_and_taken_once_it_is(sshd: Sshd) -> None:
    unpinned = sshd.target(pinned=False)
    asked: list[tuple[str, str]] = []

    with pytest.raises(HostKeyUnknownError, match="--accept-fingerprint SHA256:") as caught:
        await connect(unpinned)
    with pytest.raises(HostKeyUnknownError):
        await connect(unpinned, agree=lambda *key: bool(asked.append(key)))

    assert caught.value.details["fingerprint"] == sshd.fingerprint
    assert caught.value.details["key_type"] == "ssh-ed25519"
    assert asked == [(sshd.fingerprint, "ssh-ed25519")]
    assert await _fingerprint(unpinned, agree=lambda *_: True) == sshd.fingerprint


async def test_a_known_host_needs_no_agreeing_and_another_key_of_it_is_refused(sshd: Sshd, gate: Sshd) -> None:
    known = replaced(sshd.target(pinned=False), known_hosts=sshd.known_hosts)
    wrong = sshd.folder / "wrong_known_hosts"
    wrong.write_text(sshd.known_hosts.read_text().split(" ")[0] + " " + gate.known_hosts.read_text().split(" ", 1)[1])

    assert await _fingerprint(known) == sshd.fingerprint
    with pytest.raises(HostKeyChangedError, match="known hosts"):
        await connect(replaced(known, known_hosts=wrong), agree=lambda *_: True)


async def test_a_changed_key_is_refused_with_the_remedy(sshd: Sshd, gate: Sshd) -> None:
    with pytest.raises(HostKeyChangedError, match="rbee hive add there --accept-fingerprint SHA256:") as caught:
        await connect(replaced(sshd.target(), pinned=gate.fingerprint), agree=lambda *_: True)

    assert caught.value.details["known"] == gate.fingerprint
    assert caught.value.details["fingerprint"] == sshd.fingerprint


async def test_a_wrong_user_and_a_wrong_key_are_not_tried_again(sshd: Sshd, gate: Sshd) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    for wrong in ({"user": "nobody-here"}, {"key": gate.key}):
        with pytest.raises(PermissionDeniedError, match=r"'there', connecting: .*ssh-add"):
            await connect(replaced(sshd.target(), **wrong), pause=pause)
    assert pauses == []


async def test_a_machine_that_refuses_is_tried_three_times(sshd: Sshd, tmp_path: Path) -> None:
    with running_sshd(tmp_path / "closed") as closed:
        target = closed.target("closed")
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    with pytest.raises(UnreachableError, match=r"'closed', connecting: .*refuses") as caught:
        await connect(target, pause=pause)

    assert len(pauses) == 2
    assert caught.value.details["cause"] == "refused"


async def test_a_machine_that_says_nothing_is_given_up(sshd: Sshd) -> None:
    import socket

    with socket.socket() as silent:
        silent.bind((LOOPBACK, 0))
        silent.listen()
        target = replaced(sshd.target(), port=silent.getsockname()[1])
        with pytest.raises(UnreachableError, match="does not answer in time"):
            await connect(target, tries=1, timeout_s=0.2)


async def test_a_key_file_that_is_missing_is_named(sshd: Sshd, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="none"):
        await connect(replaced(sshd.target(), key=tmp_path / "none"))


async def test_an_alias_of_the_ssh_configuration_is_followed(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "more").write_text(f"Host gaming-*\n  HostName {LOOPBACK}\n  Port {sshd.port}\n  User {sshd.user}\n")
    config = tmp_path / "config"
    config.write_text(
        f"Include {tmp_path / 'more'}\nHost *\n  IdentityFile {sshd.key}\n  UserKnownHostsFile {sshd.known_hosts}\n"
    )

    assert await _fingerprint(Target(name="pc", alias="gaming-pc", config=config)) == sshd.fingerprint


async def test_what_the_registry_says_wins_over_the_configuration(sshd: Sshd, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host pc\n  HostName 127.0.0.9\n  Port 1\n  User nobody-here\n  IdentityFile /nowhere\n")

    target = replaced(sshd.target(), alias="pc", config=config, pinned=None, known_hosts=sshd.known_hosts)

    assert await _fingerprint(target) == sshd.fingerprint


async def test_known_hosts_that_are_switched_off_do_not_make_every_key_right(sshd: Sshd, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host *\n  UserKnownHostsFile none\n  StrictHostKeyChecking no\n")

    with pytest.raises(HostKeyUnknownError):
        await connect(replaced(sshd.target(pinned=False), config=config, known_hosts=None))


async def test_the_usual_known_hosts_are_asked(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    usual = replaced(sshd.target(pinned=False), known_hosts=None)
    with pytest.raises(HostKeyUnknownError):
        await connect(usual)
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(sshd.known_hosts.read_text())

    assert await _fingerprint(usual) == sshd.fingerprint


class Certified(NamedTuple):
    """A machine whose host key has a certificate, and a line of known hosts for the authority that gave it."""

    sshd: Sshd
    authority: str


@pytest.fixture(scope="module")
def certified(sshd: Sshd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certified]:
    folder = tmp_path_factory.mktemp("certified")
    authority = asyncssh.generate_private_key("ssh-ed25519")
    with running_sshd(folder, extra=(f"HostCertificate {folder / 'host_key-cert.pub'}",)) as server:
        server.stop()
        public = asyncssh.read_public_key(folder / "host_key.pub")
        certificate = authority.generate_host_certificate(public, "box", principals=[LOOPBACK])
        certificate.write_certificate(folder / "host_key-cert.pub")
        server.start()
        yield Certified(server, f"@cert-authority * {authority.export_public_key().decode()}")


async def test_a_certificate_of_an_authority_that_nobody_knows_is_not_needed(certified: Certified) -> None:
    sshd = certified.sshd
    unpinned = sshd.target(pinned=False)

    with pytest.raises(HostKeyUnknownError) as caught:
        await connect(unpinned)

    assert caught.value.details["fingerprint"] == sshd.fingerprint
    assert await _fingerprint(unpinned, agree=lambda *_: True) == sshd.fingerprint
    assert await _fingerprint(sshd.target()) == sshd.fingerprint
    with pytest.raises(HostKeyChangedError):
        await connect(replaced(sshd.target(), pinned="SHA256:" + "a" * 43), agree=lambda *_: True)


async def test_a_known_authority_is_enough_until_the_key_is_pinned(certified: Certified, tmp_path: Path) -> None:
    sshd = certified.sshd
    known = tmp_path / "known"
    known.write_text(certified.authority)

    assert await _fingerprint(replaced(sshd.target(pinned=False), known_hosts=known)) == sshd.fingerprint
    assert await _fingerprint(replaced(sshd.target(), known_hosts=known)) == sshd.fingerprint


async def test_a_key_that_was_revoked_is_refused_and_not_tried_again(sshd: Sshd, tmp_path: Path) -> None:
    known = tmp_path / "known"
    known.write_text("@revoked * " + sshd.known_hosts.read_text().split(" ", 1)[1])

    async def pause(_: float) -> None:
        raise AssertionError

    with pytest.raises(PermissionDeniedError, match="is not taken: Host key is revoked") as caught:
        await connect(replaced(sshd.target(pinned=False), known_hosts=known), agree=lambda *_: True, pause=pause)

    assert caught.value.details["cause"] == "key_refused"


async def test_a_machine_is_reached_through_another_whose_key_is_checked_too(sshd: Sshd, gate: Sshd) -> None:
    through = replaced(sshd.target(), jumps=(gate.target("gate"),))
    unknown = replaced(sshd.target(), jumps=(gate.target("gate", pinned=False),))

    assert await _fingerprint(through) == sshd.fingerprint
    assert "direct-tcpip" in gate.log() or gate.log().count("Accepted publickey") >= 1
    with pytest.raises(HostKeyUnknownError, match="'gate'"):
        await connect(unknown)


async def test_who_agrees_on_a_machines_key_does_not_agree_on_those_of_machines_on_the_way(
    sshd: Sshd, gate: Sshd
) -> None:
    target = replaced(sshd.target(pinned=False), jumps=(gate.target("gate", pinned=False),))
    asked: list[str] = []

    def agree(fingerprint: str, _: str) -> bool:
        asked.append(fingerprint)
        return True

    with pytest.raises(HostKeyUnknownError, match=r"on the way to 'there'.*--name NAME --ssh-port \d+ ") as caught:
        await connect(target, agree=agree)

    assert caught.value.details["fingerprint"] == gate.fingerprint
    assert asked == []
    known = replaced(target, known_hosts=gate.known_hosts)
    assert await _fingerprint(known, agree=agree) == sshd.fingerprint
    assert asked == [sshd.fingerprint]


async def test_a_jump_of_the_ssh_configuration_is_followed(sshd: Sshd, gate: Sshd, tmp_path: Path) -> None:
    both = tmp_path / "both"
    both.write_text(sshd.known_hosts.read_text() + gate.known_hosts.read_text())
    config = tmp_path / "config"
    config.write_text(
        f"Host gate\n  HostName {LOOPBACK}\n  Port {gate.port}\n  IdentityFile {gate.key}\n"
        f"Host pc\n  HostName {LOOPBACK}\n  Port {sshd.port}\n  IdentityFile {sshd.key}\n"
        f"Host *\n  User {sshd.user}\n  ProxyJump gate\n  UserKnownHostsFile {both}\n"
    )
    before = gate.log().count("Accepted publickey")

    assert await _fingerprint(Target(name="pc", alias="pc", config=config)) == sshd.fingerprint

    assert gate.log().count("Accepted publickey") == before + 1


async def test_a_machine_behind_one_that_cannot_reach_it_says_so(sshd: Sshd, gate: Sshd, tmp_path: Path) -> None:
    with running_sshd(tmp_path / "closed") as closed:
        target = replaced(closed.target("closed"), jumps=(gate.target("gate"),))

    with pytest.raises(UnreachableError, match=r"'closed'.*through the machine before it"):
        await connect(target, tries=1)


def test_a_target_is_what_the_registry_says() -> None:
    gate = Beehive(node_name="gate", ssh_host="10.0.0.1", host_key_fingerprint="SHA256:" + "a" * 43)
    pc = Beehive(
        node_name="pc",
        ssh_host="10.0.0.2",
        ssh_port=2222,
        ssh_user="bee",
        ssh_key_path="/k",
        ssh_jump="gate,me@[fe::1]:24",
    )

    target = target_of(pc, [gate, pc])

    assert (target.name, target.host, target.port, target.user, target.key) == (
        "pc",
        "10.0.0.2",
        2222,
        "bee",
        Path("/k"),
    )
    assert target.jumps is not None
    assert target.jumps[0].pinned == gate.host_key_fingerprint
    assert (target.jumps[1].alias, target.jumps[1].port, target.jumps[1].user) == ("fe::1", 24, "me")
    assert target_of(gate).jumps is None
    assert jumps_of("none") == ()


@pytest.mark.parametrize("text", ["", "a,,b", "host:0", "host:x", "-oProxyCommand=x", "@", "me@"])
def test_a_jump_that_is_no_list_of_machines_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="no way to a machine"):
        jumps_of(text)
