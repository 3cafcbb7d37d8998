from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import psutil
import pytest
from rbee.contract.errors import (
    ConfigurationError,
    InsufficientDiskError,
    PermissionDeniedError,
    PortTakenError,
    RequestTimeoutError,
    UnreachableError,
)
from rbee.remote.connecting import connect
from rbee.remote.ssh_host import SshHost
from rbee.testing.sshd import Sshd, running_sshd


async def test_a_command_runs_in_the_users_home_and_tells_how_it_ended(host: SshHost, sshd: Sshd) -> None:
    ran = await host.run(["sh", "-c", 'pwd; echo "$HOME"; echo oh >&2; exit 3'])

    assert ran.out == f"{sshd.home}\n{sshd.home}\n"
    assert ran.err == "oh\n"
    assert ran.code == 3
    assert not ran.good
    assert host.user == sshd.user


async def test_hostile_words_arrive_as_they_are(host: SshHost) -> None:
    words = ["a b", "$HOME", "`id`", "'", '"', "; exit 9", "", "*", "\\", "line\nbreak", "-n", "ü€", "!x", "$(id)"]

    ran = await host.run(["sh", "-c", 'for one; do printf "%s\\0" "$one"; done', "sh", *words])

    assert ran.out.split("\0")[:-1] == words


async def test_it_is_given_what_it_reads_and_its_lines_are_told_as_they_come(host: SshHost) -> None:
    told: list[str] = []

    ran = await host.run(["cat"], stdin=b"eins\nzwei", tell=told.append)

    assert ran.out == "eins\nzwei"
    assert told == ["eins", "zwei"]


async def test_of_much_output_the_first_mebibyte_is_kept(host: SshHost) -> None:
    ran = await host.run(["sh", "-c", "head -c 3000000 /dev/zero; echo done >&2"])

    assert len(ran.out) == 1024 * 1024
    assert ran.err == "done\n"


async def test_a_command_that_a_signal_ended_has_no_code(host: SshHost) -> None:
    assert (await host.run(["sh", "-c", "kill -9 $$"])).code == -1


async def test_a_command_that_takes_too_long_is_ended_over_there(host: SshHost, sshd: Sshd) -> None:
    with pytest.raises(RequestTimeoutError, match=r"more than 0\.3 s"):
        await host.run(["sh", "-c", "sleep 4711 & echo $! > sleeping; wait"], timeout_s=0.3)

    await _gone(int((sshd.home / "sleeping").read_text()))


async def test_a_command_whose_caller_goes_away_is_ended_over_there(host: SshHost, sshd: Sshd) -> None:
    (sshd.home / "waiting").unlink(missing_ok=True)
    begun = asyncio.Event()
    task = asyncio.create_task(
        host.run(["sh", "-c", "echo $$ > waiting; echo begun; exec sleep 4711"], tell=lambda _: begun.set())
    )
    await begun.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    await _gone(int((sshd.home / "waiting").read_text()))


async def test_a_login_shell_that_greets_is_in_nobodys_way(tmp_path: Path, sshd: Sshd) -> None:
    with running_sshd(tmp_path / "polite") as polite:
        # What stands in `.bashrc` is said before any command.
        session = polite.folder / "session.sh"
        greeting = """echo 12; echo "$SSH_ORIGINAL_COMMAND"; printf 'Welcome to '\n"""
        session.write_text(greeting + session.read_text())
        host = await connect(polite.target("polite"))

        assert (await host.run(["echo", "a"])).out == "a\n"
        lines = host.lines(["sh", "-c", "echo $$; exec sleep 4711"])
        number = int(await anext(lines))
        await lines.aclose()
        await _gone(number)
        with pytest.raises(RequestTimeoutError):
            await host.run(["sh", "-c", "echo $$ > sleeping; exec sleep 4711"], timeout_s=0.3)
        await _gone(int((polite.home / "sleeping").read_text()))
        await host.close()


async def test_lines_come_as_they_are_written_and_the_command_ends_with_the_generator(host: SshHost) -> None:
    lines = host.lines(["sh", "-c", "echo $$; echo zwei; exec sleep 4711"])
    number = int(await anext(lines))
    assert await anext(lines) == "zwei"
    assert psutil.pid_exists(number)

    await lines.aclose()

    await _gone(number)


async def test_lines_of_a_command_that_ends_end(host: SshHost) -> None:
    assert [line async for line in host.lines(["printf", "a\\nb"])] == ["a", "b"]


async def test_a_file_arrives_whole_with_its_mode_and_no_other_beside_it(
    host: SshHost, sshd: Sshd, tmp_path: Path
) -> None:
    source = tmp_path / "file"
    source.write_bytes(os.urandom(5_000_000))
    sent: list[int] = []

    await host.send(source, PurePosixPath("some folder/deep/it's"), mode=0o750, sent=sent.append)

    there = sshd.home / "some folder" / "deep" / "it's"
    assert there.read_bytes() == source.read_bytes()
    assert there.stat().st_mode & 0o777 == 0o750
    assert [one.name for one in there.parent.iterdir()] == ["it's"]
    assert sum(sent) == 5_000_000


async def test_what_is_there_of_a_file_is_not_sent_again(host: SshHost, sshd: Sshd, tmp_path: Path) -> None:
    content = os.urandom(5_000_000)
    source = tmp_path / "file"
    source.write_bytes(content)
    (sshd.home / "again.part").write_bytes(content[:3_000_000])
    sent: list[int] = []

    await host.send(source, PurePosixPath("again"), sent=sent.append)

    assert (sshd.home / "again").read_bytes() == content
    assert sent == [3_000_000, 2_000_000]


async def test_what_is_there_of_another_file_is_written_over(host: SshHost, sshd: Sshd, tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_bytes(b"right" * 1000)
    (sshd.home / "other.part").write_bytes(b"wrong" * 500)
    (sshd.home / "other").write_bytes(b"old")

    await host.send(source, PurePosixPath("other"))
    await host.send(source, PurePosixPath("other"))

    assert (sshd.home / "other").read_bytes() == b"right" * 1000
    assert not (sshd.home / "other.part").exists()


@pytest.fixture
def small(sshd: Sshd) -> Iterator[PurePosixPath]:
    """A folder over there on a disk of 1 MiB."""
    folder = sshd.home / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield PurePosixPath("small")
    subprocess.run(["umount", folder], check=True)


async def test_a_file_that_does_not_fit_is_refused_and_nothing_of_it_stays(
    host: SshHost, sshd: Sshd, small: PurePosixPath, tmp_path: Path
) -> None:
    source = tmp_path / "huge"
    with source.open("wb") as file:
        file.truncate(2 * 1024 * 1024)

    with pytest.raises(InsufficientDiskError, match=r"'there', sending 'small/huge': 2097152 bytes .* Make room"):
        await host.send(source, small / "huge")
    with pytest.raises(InsufficientDiskError, match="is its disk full"):
        await host.write(small / "huge", source.read_bytes())

    assert list((sshd.home / "small").iterdir()) == []


async def test_where_nobody_may_write_says_so(host: SshHost, sshd: Sshd, tmp_path: Path) -> None:
    if sshd.user == "root":
        pytest.skip("root may write everywhere")
    (tmp_path / "file").touch()
    with pytest.raises(PermissionDeniedError, match="'there'"):
        await host.send(tmp_path / "file", PurePosixPath("/etc/rbee-test"))


async def test_small_files_are_written_and_read(host: SshHost, sshd: Sshd) -> None:
    await host.write(PurePosixPath("conf/token"), b"secret")
    await host.write(PurePosixPath("conf/token"), b"other")

    assert await host.read(PurePosixPath("conf/token")) == b"other"
    assert await host.read(PurePosixPath("conf/token"), 2) == b"ot"
    assert await host.read(PurePosixPath("conf/none")) is None
    assert (sshd.home / "conf" / "token").stat().st_mode & 0o777 == 0o600
    assert (sshd.home / "conf").stat().st_mode & 0o777 == 0o700


async def test_a_port_leads_to_an_address_over_there_and_one_over_there_leads_back(host: SshHost) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with host.forward("127.0.0.1", port) as here, host.backward(port) as there:
            assert await _asked(here) == b"WORD\n"
            assert await _asked(there) == b"WORD\n"
        with pytest.raises(ConnectionRefusedError):
            await _asked(there)


async def test_a_port_over_there_that_is_taken_is_told_as_such(host: SshHost) -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"'there'.*does not give port {port}\. Another program") as caught:
            async with host.backward(9, port):
                pass
    assert caught.value.details["cause"] == "port_taken"


async def test_a_machine_that_forwards_nothing_says_so(tmp_path: Path, sshd: Sshd) -> None:
    with running_sshd(tmp_path / "narrow", forwarding=False, sftp=False) as narrow:
        host = await connect(narrow.target("narrow"))
        with pytest.raises(ConfigurationError, match=r"'narrow'.*AllowTcpForwarding"):
            async with host.backward(9):
                pass
        with pytest.raises(ConfigurationError, match=r"'narrow'.*has no SFTP"):
            await host.write(PurePosixPath("file"), b"")
        assert (await host.run(["echo", "a"])).out == "a\n"
        await host.close()


async def test_a_line_that_breaks_is_an_error_that_names_the_machine(tmp_path: Path, sshd: Sshd) -> None:
    with running_sshd(tmp_path / "gone") as server:
        host = await connect(server.target("gone"))
        begun = asyncio.Event()
        task = asyncio.create_task(host.run(["sh", "-c", "echo begun; exec sleep 4711"], tell=lambda _: begun.set()))
        await begun.wait()
        server.stop()
        with pytest.raises(UnreachableError, match="'gone'"):
            await task
        with pytest.raises(UnreachableError, match="'gone'"):
            await host.run(["true"])
        await host.close()


async def _asked(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"word\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def _gone(number: int) -> None:
    async with asyncio.timeout(10):
        while psutil.pid_exists(number) and psutil.Process(number).status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.02)
